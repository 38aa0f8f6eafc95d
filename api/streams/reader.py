"""One reader of a channel: past events, `caught_up`, then each as it comes, and `end`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from enum import Enum

from fastapi import Request
from starlette.types import Send

from flowbuilder.api.problems import problem_of
from flowbuilder.api.streams import frames, rights
from flowbuilder.api.streams.channel import Channel
from flowbuilder.api.streams.rights import Rights
from flowbuilder.errors import FlowBuilderError

#: Milliseconds a client waits before it comes back; so long apart when all are sent away.
RETRY = 1000
RETRY_APART = 2000


class Ended(Enum):
    """What a reader ended with."""

    END = "end"
    """The stream has ended, and was read to its end."""
    STOPPED = "stopped"
    """This process stops; the client goes on elsewhere."""
    FAILED = "failed"
    """Something went wrong, or the reader may not see it any more, as it was told."""


class Reader:
    """Sends a channel's events to one client, at the client's pace."""

    def __init__(
        self,
        channel: Channel,
        after: int,
        *,
        goal: int,
        look: Callable[[], Awaitable[None]],
        heartbeat: float,
    ) -> None:
        """Make a reader that has sent nothing yet.

        Args:
            channel: What it reads.
            after: The last number that the client has.
            goal: The last one that there was when the client came.
            look: Raises an error when the client may not see this any more.
            heartbeat: Seconds of silence after which it says that it is there.
        """
        self.seen = after
        self.writing_since: float | None = None
        """Since when the client has taken nothing of what it is sent; None: it takes everything."""
        self.stopping = False
        self.sent = 0
        """Pieces that were handed over."""
        self._channel = channel
        self._goal = goal
        self._look = look
        self._looked = time.monotonic()
        self._heartbeat = heartbeat
        self._said_at = time.monotonic()
        self._waiting: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """There is something to see to."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def glance(self, now: float) -> None:
        """Wake it when it has to say that it is still there, or to be looked at."""
        if now - self._said_at >= self._heartbeat or now - self._looked >= rights.IDLE_SECONDS:
            self.wake()

    async def serve(self, send: Send) -> Ended:
        """Send all there is to send; whatever ends it is told to the client."""
        await self._say(send, frames.retry(RETRY))
        try:
            ended = await self._serve(send)
        except FlowBuilderError as error:
            document = bytes(problem_of(error).body)
            await self._say(send, b"event: problem\ndata: " + document + b"\n\n")
            return Ended.FAILED
        if ended is Ended.END:
            await self._say(send, frames.note("end", {"seq": self.seen}))
        else:
            await self._say(send, frames.retry(RETRY + random.randrange(RETRY_APART)))
        return ended

    async def _serve(self, send: Send) -> Ended:
        channel, caught_up = self._channel, False
        while not self.stopping:
            if Rights.due(self._looked):
                await self._look()
                self._looked = time.monotonic()
            piece = channel.at_hand(self.seen)
            if piece is None and self.seen < channel.last:
                piece = await channel.behind(self.seen)
            if piece is not None:
                await self._say(send, piece.sent)
                self.seen = piece.seq
                continue
            if not caught_up and self.seen >= self._goal:
                caught_up = True
                await self._say(send, frames.note("caught_up", {"seq": self.seen}))
                continue
            if channel.failure is not None:
                raise channel.failure
            if channel.ended:
                return Ended.END
            if time.monotonic() - self._said_at >= self._heartbeat:
                await self._say(send, frames.HEARTBEAT)
                continue
            await self._news()
        return Ended.STOPPED

    async def _say(self, send: Send, text: bytes) -> None:
        self.writing_since = time.monotonic()
        await send({"type": "http.response.body", "body": text, "more_body": True})
        self.writing_since = None
        self._said_at = time.monotonic()
        self.sent += 1

    async def _news(self) -> None:
        """Wait until there is something to see to.

        Nothing is missed: nobody else has had a turn since the caller has looked.
        """
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting


def look_by(looks: Rights, request: Request) -> Callable[[], Awaitable[None]]:
    """Return how it is looked whether the sender of a request may still see its answer."""

    async def look() -> None:
        await looks.look(request)

    return look
