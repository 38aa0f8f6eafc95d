"""The response that a reader of a channel gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flowbuilder.api.problems import problem_of
from flowbuilder.api.streams.channel import Channel
from flowbuilder.api.streams.hub import Hub, Open
from flowbuilder.api.streams.reader import Reader, look_by
from flowbuilder.api.streams.seats import Holder, Seats
from flowbuilder.api.streams.wire import ABORT
from flowbuilder.errors import FlowBuilderError

MEDIA_TYPE = "text/event-stream"


class SharedStream(Response):
    """Events of a channel, from a number on, until they end or somebody leaves.

    A client that takes nothing for long is dropped: its connection is closed at once, with what it
    has not taken. It resumes from the last number it saw.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        channel: Channel,
        request: Request,
        *,
        after: int,
        goal: int,
        hub: Hub,
        seats: Seats,
        holder: Holder,
    ) -> None:
        """`after`: the last number that the client has; `goal`: the last one that there is."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        # a stream has no length known beforehand
        del self.headers["content-length"]
        self._channel = channel
        self._hub = hub
        self._seats = seats
        self._holder = holder
        self._reader = Reader(
            channel,
            after,
            goal=goal,
            look=look_by(hub.rights, request),
            heartbeat=hub.heartbeat,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._seats.take(self._holder))
            except FlowBuilderError as error:
                await problem_of(error)(scope, receive, send)
                return
            await self._serve(scope.get("extensions", {}).get(ABORT), receive, send)

    async def _serve(self, abort: Callable[[], None] | None, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        serving = asyncio.create_task(self._reader.serve(send))
        gone = asyncio.create_task(_disconnected(receive))

        def drop() -> None:
            if abort is not None:
                abort()
            serving.cancel()

        one = Open(self._reader, drop)
        self._hub.enter(self._channel, one)
        try:
            await asyncio.wait({serving, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(self._channel, one)
            for task in (serving, gone):
                task.cancel()
            await asyncio.gather(serving, gone, return_exceptions=True)
        if not serving.cancelled():
            serving.result()
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
