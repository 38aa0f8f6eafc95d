"""Server-sent events: a stream of numbered events over one response that ends when they end.

Each event is `id: <seq>`, `event: <type>`, `data: <envelope on one line>`. A client that was cut
off sends the last id it saw as `Last-Event-ID` and gets what came after, no event twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import ExitStack, aclosing, suppress
from dataclasses import replace
from typing import TypeVar, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flowbuilder.api.problems import BadRequest, Unavailable, problem_of
from flowbuilder.api.streams.frames import HEARTBEAT, numbered, retry, to_json
from flowbuilder.api.streams.hub import FAREWELL_SECONDS, Hub
from flowbuilder.api.streams.reader import RETRY
from flowbuilder.api.streams.response import MEDIA_TYPE
from flowbuilder.api.streams.seats import NOBODY, Bounds, Holder, Seats
from flowbuilder.client.following import pruned
from flowbuilder.errors import FlowBuilderError
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject

#: Seconds without an event after which a comment keeps proxies from closing the connection.
HEARTBEAT_SECONDS = 15.0
#: Seconds after which a reader who takes nothing is dropped.
PATIENCE_SECONDS = 15.0
_SHORTEST_HEARTBEAT = 0.05
#: The code of what a process that stops does not do any more.
STOPPING = "stopping"

__all__ = [
    "FAREWELL_SECONDS",
    "MEDIA_TYPE",
    "STOPPING",
    "EventStream",
    "Streams",
    "format_event",
    "position",
    "told",
    "wants_stream",
    "with_heartbeats",
]

Item = TypeVar("Item")


def format_event(seq: int, type: str, data: JsonObject) -> bytes:
    """Return one event. The data is JSON without line breaks, so it can end no event early."""
    return numbered(seq, type, to_json(data))


def wants_stream(accept: str | None, last_event_id: str | None) -> bool:
    """Say whether a client asks for a stream: by `Accept`, or by coming back to one."""
    if last_event_id is not None:
        return True
    weights = {"text/event-stream": 0.0, "application/json": 0.0}
    for item in (accept or "").lower().split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        if media in weights:
            weights[media] = _weight(parameters)
    stream = weights["text/event-stream"]
    return stream > 0 and stream >= weights["application/json"]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
    return 1.0


def position(last_event_id: str | None, after: int, last_seq: int, first: int = 1) -> int:
    """Return the number of the last event a client has, 0 for none.

    `Last-Event-ID` wins over `after`: a browser comes back to the address it first asked for.

    Args:
        last_event_id: As the header says it.
        after: As the query says it.
        last_seq: The number of the stream's newest event.
        first: That of the oldest one that is left.

    Raises:
        BadRequest: No number of this stream (code last_event_id_invalid).
        Conflict: What comes next was deleted (code events_pruned).
    """
    if last_event_id is None:
        given, name, seq = str(after), "after", after
    else:
        given, name = last_event_id.strip(), "Last-Event-ID"
        usable = given.isascii() and given.isdecimal() and len(given) <= 18
        seq = int(given) if usable else -1
    if not 0 <= seq <= last_seq:
        raise BadRequest(
            f"{name} {given[:40]!r} is no event of this stream; its last is number {last_seq}.",
            code="last_event_id_invalid",
            hint=f"Leave {name} out to read from the beginning.",
        )
    if seq < first - 1:
        raise pruned(first)
    return seq


class Streams:
    """The open streams of one process: counted, bounded, ended together when it stops."""

    def __init__(
        self,
        limit: int | None = None,
        heartbeat: float = HEARTBEAT_SECONDS,
        *,
        bounds: Bounds | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`limit`: of this process, instead of what `bounds` says."""
        bounds = bounds or Bounds()
        self.seats = Seats(bounds if limit is None else replace(bounds, process=limit))
        self.heartbeat = heartbeat
        self.hub = Hub(heartbeat=heartbeat, patience=patience)
        self.closing = False
        """Whether this process is about to stop, and takes no further streams."""
        self.stopping = asyncio.Event()

    @classmethod
    def of(cls, settings: Settings) -> Streams:
        """Return the streams of a process, bounded as it is set."""
        return cls(
            heartbeat=max(_SHORTEST_HEARTBEAT, settings.stream_heartbeat.total_seconds()),
            bounds=Bounds.of(settings),
            patience=settings.stream_patience.total_seconds(),
        )

    @property
    def open(self) -> int:
        """How many are open."""
        return self.seats.taken

    def stop(self) -> None:
        """End every open stream; clients resume elsewhere from the last id they saw."""
        self.closing = True
        self.stopping.set()
        self.hub.stop()

    async def close(self) -> None:
        """Follow nothing any more."""
        await self.hub.close()

    def check(self, holder: Holder = NOBODY) -> None:
        """Refuse a further stream beyond the bounds, and at the end.

        Raises:
            Unavailable: The process has no room (too_many_streams), or stops (stopping).
            TooManyStreams: The user or workspace has as many as may be.
        """
        if self.closing:
            raise Unavailable("This process is about to stop; try again elsewhere.", code=STOPPING)
        self.seats.check(holder)


class EventStream(Response):
    """Sends events as they come, until they end, the client leaves or the service stops.

    Whichever it is, the source is closed before the response is over: no task and no listener
    outlives the connection. A reader that is slow holds back its own source alone.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, source: AsyncGenerator[bytes], streams: Streams, holder: Holder = NOBODY
    ) -> None:
        super().__init__(
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        # a stream has no length known beforehand
        del self.headers["content-length"]
        self._source = source
        self._streams = streams
        self._holder = holder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._streams.seats.take(self._holder))
            except FlowBuilderError as error:
                await self._source.aclose()
                await problem_of(error)(scope, receive, send)
                return
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        tasks = [
            asyncio.create_task(self._pump(send)),
            asyncio.create_task(_disconnected(receive)),
            asyncio.create_task(_wait(self._streams.stopping.wait())),
        ]
        pump, gone, stop = tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._source.aclose()
        if not pump.cancelled():
            pump.result()
        elif not stop.cancelled() and gone.cancelled():
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await _send_part(send, retry(RETRY))
        async with aclosing(with_heartbeats(self._source, self._streams.heartbeat)) as parts:
            async for part in parts:
                await _send_part(send, HEARTBEAT if part is None else part)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _wait(something: Awaitable[object]) -> None:
    await something


async def with_heartbeats(
    source: AsyncIterator[Item], seconds: float
) -> AsyncGenerator[Item | None]:
    """Yield what the source yields, and None whenever it was silent for so many seconds."""
    ended = object()
    coming: asyncio.Task[object] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(_next(source, ended))
            await asyncio.wait({coming}, timeout=seconds)
            if not coming.done():
                yield None
                continue
            item, coming = coming.result(), None
            if item is ended:
                return
            yield cast("Item", item)
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _next(source: AsyncIterator[object], ended: object) -> object:
    return await anext(source, ended)


async def told(parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the parts; a failure becomes a last event `problem`, which has no id.

    The status was sent long ago, so this is the only way left to say it; the client comes back
    with the last id it saw.
    """
    async with aclosing(parts):
        try:
            async for part in parts:
                yield part
        except FlowBuilderError as error:
            document = bytes(problem_of(error).body).decode()
            yield f"event: problem\ndata: {document}\n\n".encode()
