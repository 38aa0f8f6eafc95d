"""Streams for tests: a source played by hand, and the server's side of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request

from flowbuilder.api.streams.channel import Channel
from flowbuilder.api.streams.frames import Frame, numbered, to_json
from flowbuilder.api.streams.hub import Hub
from flowbuilder.api.streams.response import SharedStream
from flowbuilder.api.streams.seats import NOBODY, Bounds, Holder, Seats
from flowbuilder.client.following import pruned
from flowbuilder.errors import FlowBuilderError

Message = MutableMapping[str, Any]


class Played:
    """A source of events that a test adds to; it counts what was made of them."""

    def __init__(self, count: int = 0, *, first: int = 1) -> None:
        self.last = count
        self.first = first
        self.encoded: list[int] = []
        """The number of every frame that was made, in order."""
        self.reads = 0
        self.failure: FlowBuilderError | None = None
        self.over = False
        self.text = "x"
        self._news = asyncio.Event()

    def add(self, count: int = 1, *, over: bool = False) -> None:
        """Let further events happen."""
        self.last += count
        self.over = over
        self._news.set()

    def fail(self, error: FlowBuilderError) -> None:
        """Let following it fail."""
        self.failure = error
        self._news.set()

    async def read(self, after: int, limit: int) -> list[Frame]:
        """Return frames behind a number, as a source does."""
        self.reads += 1
        await asyncio.sleep(0)
        if after < self.first - 1:
            raise pruned(self.first)
        return self._made(after, min(self.last, after + limit))

    async def follow(self, after: int, pause: Callable[[], float]) -> AsyncGenerator[list[Frame]]:
        """Yield frames as they come, as a source does."""
        while True:
            self._news.clear()
            if self.failure is not None:
                raise self.failure
            if after < self.last:
                frames = self._made(after, self.last)
                after = self.last
                yield frames
            if self.over:
                return
            await self._news.wait()

    def _made(self, after: int, upto: int) -> list[Frame]:
        return [self._frame(seq) for seq in range(after + 1, upto + 1)]

    def _frame(self, seq: int) -> Frame:
        self.encoded.append(seq)
        return Frame(seq, numbered(seq, "tick", to_json({"seq": seq, "text": self.text})))


class Connection:
    """The server's side of one connection: what was sent, and whether the client is there."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.left = asyncio.Event()
        self.taking = asyncio.Event()
        """Cleared: the client takes nothing."""
        self.taking.set()
        self._news = asyncio.Event()

    async def receive(self) -> Message:
        """Wait until the client leaves."""
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take what is sent, when the client does."""
        await self.taking.wait()
        self.sent.append(message)
        self._news.set()

    async def until(self, text: bytes) -> None:
        """Return when this was sent."""
        while text not in self.body:
            self._news.clear()
            await self._news.wait()

    @property
    def status(self) -> int:
        """The status that was sent."""
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        """All that was sent."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def text(self) -> str:
        """All that was sent, as text."""
        return self.body.decode()

    @property
    def complete(self) -> bool:
        """Whether the response was ended in order."""
        return self.sent[-1].get("more_body") is False


class Hall:
    """A hub, its seats, and one channel over a played source."""

    def __init__(
        self,
        source: Played,
        *,
        bounds: Bounds | None = None,
        heartbeat: float = 15.0,
        patience: float = 15.0,
    ) -> None:
        self.source = source
        self.hub = Hub(heartbeat=heartbeat, patience=patience)
        self.seats = Seats(bounds or Bounds())
        self.known = source.last

    def channel(self) -> Channel:
        """Return the channel, as a route finds it."""
        return self.hub.channel("run", lambda: self.source, last=self.known)

    def serve(
        self,
        connection: Connection,
        *,
        after: int = 0,
        holder: Holder = NOBODY,
        abort: Callable[[], None] | None = None,
    ) -> asyncio.Task[None]:
        """Serve a client that has everything up to `after`."""
        app = FastAPI()
        app.state.tokens = None
        scope: dict[str, Any] = {"type": "http", "app": app, "headers": [], "endpoint": None}
        if abort is not None:
            scope["extensions"] = {"flowbuilder.abort": abort}
        response = SharedStream(
            self.channel(),
            Request(scope),
            after=after,
            goal=max(self.known, after),
            hub=self.hub,
            seats=self.seats,
            holder=holder,
        )
        return asyncio.create_task(response(scope, connection.receive, connection.send))
