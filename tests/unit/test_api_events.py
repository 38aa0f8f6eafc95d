from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import pytest

from flowbuilder.api.events import (
    EventStream,
    Streams,
    format_event,
    position,
    told,
    wants_stream,
    with_heartbeats,
)
from flowbuilder.api.problems import BadRequest, Unavailable
from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.types import JsonObject
from tests.support.api import events_in

Message = MutableMapping[str, Any]


@pytest.mark.parametrize(
    "text", ["a\n\ndata: forged\n\n", "a\r\nid: 9\r\n", "\r", "\u2028\u2029", "ä💥", "", ": c"]
)
def test_no_text_ends_an_event_early(text: str) -> None:
    data: JsonObject = {"text": text, "seq": 7}
    raw = format_event(7, "task_completed", {"data": data})
    assert raw.count(b"\n") == 4
    assert b"\r" not in raw
    (event,) = events_in(raw.decode())
    assert event == {"id": 7, "event": "task_completed", "data": {"data": data}}


def test_a_type_is_one_line() -> None:
    assert format_event(1, "x\ndata: y", {}).decode().split("\n")[1] == "event: x data: y"


@pytest.mark.parametrize(
    ("accept", "last", "wanted"),
    [
        (None, None, False),
        ("*/*", None, False),
        ("application/json", None, False),
        ("text/event-stream", None, True),
        ("Text/Event-Stream; charset=utf-8", None, True),
        ("application/json, text/event-stream", None, True),
        ("application/json;q=0.9, text/event-stream;q=0.5", None, False),
        ("text/event-stream;q=0", None, False),
        ("text/event-stream;q=x", None, False),
        ("text/event-streams", None, False),
        (None, "0", True),
        ("application/json", "5", True),
    ],
)
def test_who_wants_a_stream(accept: str | None, last: str | None, wanted: bool) -> None:
    assert wants_stream(accept, last) is wanted


@pytest.mark.parametrize(
    ("last", "after", "seq"), [(None, 0, 0), (None, 9, 9), ("0", 5, 0), ("3", 0, 3), (" 9 ", 0, 9)]
)
def test_the_last_event_id_wins_over_after(last: str | None, after: int, seq: int) -> None:
    assert position(last, after, last_seq=9) == seq


@pytest.mark.parametrize(
    "last",
    ["", " ", "10", "-1", "+1", "1.0", "1e0", "x", "\u0663", "1" * 40, "0x1", "1\x00", "null"],
)
def test_a_last_event_id_is_a_number_of_its_own_stream(last: str) -> None:
    with pytest.raises(BadRequest) as caught:
        position(last, 0, last_seq=9)
    assert caught.value.code == "last_event_id_invalid"


def test_a_position_beyond_the_end_is_refused() -> None:
    with pytest.raises(BadRequest):
        position(None, 10, last_seq=9)


class Connection:
    """The server's side of one connection: what was sent, and whether the client is there."""

    def __init__(self, *, blocked_after: int | None = None) -> None:
        self.sent: list[Message] = []
        self.left = asyncio.Event()
        self.news = asyncio.Event()
        self.blocked_after = blocked_after

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.blocked_after is not None and len(self.sent) >= self.blocked_after:
            await asyncio.Event().wait()
        self.sent.append(message)
        self.news.set()

    async def until(self, text: bytes) -> None:
        while text not in self.body:
            self.news.clear()
            await self.news.wait()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def complete(self) -> bool:
        return self.sent[-1].get("more_body") is False


class Source:
    """A source of events that says whether it was closed."""

    def __init__(self, count: int, *, then_wait: bool = False) -> None:
        self.count = count
        self.then_wait = then_wait
        self.closed = False

    async def events(self) -> AsyncGenerator[bytes]:
        try:
            for seq in range(1, self.count + 1):
                yield format_event(seq, "tick", {"seq": seq})
            if self.then_wait:
                await asyncio.Event().wait()
        finally:
            self.closed = True


def serve(source: Source, streams: Streams, connection: Connection) -> asyncio.Task[None]:
    response = EventStream(source.events(), streams)
    return asyncio.create_task(response({"type": "http"}, connection.receive, connection.send))


async def test_a_stream_ends_with_its_source() -> None:
    source, streams, connection = Source(3), Streams(), Connection()
    await serve(source, streams, connection)
    headers = dict(connection.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-store"
    assert b"content-length" not in headers
    assert connection.body.startswith(b"retry: 1000\n\n")
    assert [event["id"] for event in events_in(connection.body.decode())] == [1, 2, 3]
    assert connection.complete
    assert source.closed
    assert streams.open == 0


async def test_nothing_is_left_when_the_client_leaves() -> None:
    source, streams, connection = Source(2, then_wait=True), Streams(), Connection()
    before = asyncio.all_tasks()
    serving = serve(source, streams, connection)
    await connection.until(b"id: 2\n")
    assert streams.open == 1
    connection.left.set()
    await serving
    assert source.closed
    assert streams.open == 0
    assert asyncio.all_tasks() == before


async def test_a_client_that_leaves_while_it_is_slow_is_noticed() -> None:
    source, streams = Source(1000), Streams()
    connection = Connection(blocked_after=3)
    serving = serve(source, streams, connection)
    await connection.until(b"id: 1\n")
    connection.left.set()
    await serving
    assert source.closed


async def test_a_slow_reader_holds_nobody_else_up() -> None:
    streams = Streams()
    slow, quick = Connection(blocked_after=2), Connection()
    stuck, waiting = Source(1000), serve(Source(0), streams, Connection())
    serving = serve(stuck, streams, slow)
    await serve(Source(500), streams, quick)
    await waiting
    assert len(events_in(quick.body.decode())) == 500
    assert not serving.done()
    slow.left.set()
    await serving
    assert stuck.closed


async def test_a_stop_ends_open_streams_and_refuses_new_ones() -> None:
    source, streams, connection = Source(1, then_wait=True), Streams(), Connection()
    serving = serve(source, streams, connection)
    await connection.until(b"id: 1\n")
    streams.check()
    streams.stop()
    await serving
    assert connection.complete
    assert source.closed
    with pytest.raises(Unavailable):
        streams.check()


async def test_cancelling_the_response_closes_the_source() -> None:
    source, streams, connection = Source(1, then_wait=True), Streams(), Connection()
    serving = serve(source, streams, connection)
    await connection.until(b"id: 1\n")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert source.closed
    assert streams.open == 0


async def test_streams_are_bounded() -> None:
    streams, connection = Streams(limit=1), Connection()
    serving = serve(Source(0, then_wait=True), streams, connection)
    await connection.until(b"retry")
    with pytest.raises(Unavailable) as caught:
        streams.check()
    assert caught.value.code == "too_many_streams"
    connection.left.set()
    await serving
    streams.check()


async def test_silence_is_filled_with_comments() -> None:
    streams, connection = Streams(heartbeat=0.001), Connection()
    serving = serve(Source(1, then_wait=True), streams, connection)
    await connection.until(b": still here\n\n: still here\n\n")
    connection.left.set()
    await serving
    assert [event["id"] for event in events_in(connection.body.decode())] == [1]


async def test_a_heartbeat_loses_no_event() -> None:
    gate = asyncio.Event()

    async def late() -> AsyncGenerator[int]:
        yield 1
        await gate.wait()
        yield 2

    seen: list[int | None] = []
    async for item in with_heartbeats(late(), 0.001):
        seen.append(item)
        if item is None:
            gate.set()
    assert [item for item in seen if item is not None] == [1, 2]
    assert None in seen


async def test_a_failure_on_the_way_is_told_without_an_id() -> None:
    async def failing() -> AsyncGenerator[bytes]:
        yield format_event(1, "tick", {})
        raise DatabaseUnavailable("postgresql://ada:s3cr3t@host/x is gone")

    text = b"".join([part async for part in told(failing())]).decode()
    first, last = events_in(text)
    assert first["id"] == 1
    assert (last["id"], last["event"]) == (None, "problem")
    assert last["data"]["code"] == "database_unavailable"
    assert "s3cr3t" not in json.dumps(last)
