"""One stream, many readers: read and encoded once, each at its own pace."""

from __future__ import annotations

import asyncio

import pytest

from flowbuilder.api.events import position
from flowbuilder.api.problems import Unavailable
from flowbuilder.api.refusals import TooManyStreams
from flowbuilder.api.streams import hub as hubs
from flowbuilder.api.streams.batch import PIECE_BYTES, Batch
from flowbuilder.api.streams.channel import PAGE, RING_BYTES, RING_FRAMES, Pages
from flowbuilder.api.streams.frames import Frame, note
from flowbuilder.api.streams.seats import Bounds, Holder, Seats
from flowbuilder.errors import Conflict, DatabaseUnavailable
from tests.support.api import all_in, events_in
from tests.support.streaming import Connection, Hall, Played
from tests.support.waiting import eventually


def numbers(connection: Connection) -> list[int]:
    return [event["id"] for event in events_in(connection.text) if event["id"] is not None]


def named(connection: Connection) -> list[str]:
    return [event["event"] for event in all_in(connection.text) if event["id"] is None]


async def test_what_was_there_then_what_comes_then_the_end() -> None:
    source = Played(3)
    hall, connection = Hall(source), Connection()
    serving = hall.serve(connection)
    await connection.until(b"event: caught_up\n")
    assert numbers(connection) == [1, 2, 3]
    source.add(2)
    await connection.until(b"id: 5\n")
    source.add(over=True)
    await serving
    told = all_in(connection.text)
    assert [event["id"] or event["event"] for event in told] == [
        1,
        2,
        3,
        "caught_up",
        4,
        5,
        6,
        "end",
    ]
    assert (told[3]["data"], told[-1]["data"]) == ({"seq": 3}, {"seq": 6})
    assert connection.text.startswith("retry: 1000\n\n")
    assert connection.complete
    assert (hall.hub.readers, hall.seats.taken) == (0, 0)
    await hall.hub.close()


async def test_each_event_is_made_once_however_many_read() -> None:
    source = Played(0)
    hall = Hall(source)
    connections = [Connection() for _ in range(50)]
    tasks = [hall.serve(one) for one in connections]
    for one in connections:
        await one.until(b"caught_up")
    for _ in range(20):
        source.add(3)
        for one in connections:
            await one.until(b"id: %d\n" % source.last)
    source.add(over=True)
    await asyncio.gather(*tasks)
    assert all(numbers(one) == list(range(1, 62)) for one in connections)
    assert source.encoded == list(range(1, 62))
    assert hall.hub.encoded == 61
    # the bytes are one object: what all who are at one place get is joined once
    assert len({id(one.sent[3]["body"]) for one in connections}) == 1
    await hall.hub.close()


async def test_what_lies_back_is_read_once_by_pages() -> None:
    source = Played(2 * PAGE + 10)
    hall = Hall(source)
    connections = [Connection() for _ in range(20)]
    tasks = [hall.serve(one) for one in connections]
    for one in connections:
        await one.until(b"caught_up")
    assert all(numbers(one) == list(range(1, source.last + 1)) for one in connections)
    assert sorted(source.encoded) == list(range(1, source.last + 1))
    late = Connection()
    tasks.append(hall.serve(late, after=PAGE - 3))
    await late.until(b"caught_up")
    assert numbers(late) == list(range(PAGE - 2, source.last + 1))
    assert len(source.encoded) == source.last
    source.add(over=True)
    await asyncio.gather(*tasks)
    await hall.hub.close()


async def test_a_reader_that_takes_nothing_harms_nobody_and_resumes() -> None:
    source = Played(0)
    hall = Hall(source, heartbeat=0.001, patience=0.0)
    slow, quick = Connection(), Connection()
    aborted = asyncio.Event()
    stuck = hall.serve(slow, abort=aborted.set)
    await slow.until(b"caught_up")
    slow.taking.clear()
    reading = hall.serve(quick)
    await quick.until(b"caught_up")
    source.add()
    await stuck
    assert aborted.is_set()
    assert hall.hub.dropped >= 1
    assert not slow.complete
    hall.hub._patience = 15.0
    # far more than is kept at hand
    while source.last < 3 * RING_FRAMES:
        source.add(100)
        await quick.until(b"id: %d\n" % source.last)
    again = Connection()
    resumed = hall.serve(again, after=0)
    await again.until(b"id: %d\n" % source.last)
    source.add(over=True)
    await asyncio.gather(reading, resumed)
    assert numbers(again) == numbers(quick) == list(range(1, source.last + 1))
    await hall.hub.close()


async def test_what_waits_for_a_slow_reader_is_bounded() -> None:
    source = Played(0)
    source.text = "x" * 20_000
    hall, slow = Hall(source), Connection()
    serving = hall.serve(slow)
    await slow.until(b"caught_up")
    slow.taking.clear()
    for _ in range(40):
        source.add(5)
        await asyncio.sleep(0)
    channel = hall.channel()
    await eventually(lambda: channel.last == source.last, what="it is not read")
    assert channel._ring.size <= RING_BYTES
    slow.taking.set()
    source.add(over=True)
    await serving
    assert numbers(slow) == list(range(1, 202))
    assert max(len(message.get("body", b"")) for message in slow.sent) <= PIECE_BYTES
    await hall.hub.close()


async def test_a_client_that_leaves_leaves_nothing() -> None:
    source = Played(2)
    before = asyncio.all_tasks()
    hall, connection = Hall(source), Connection()
    serving = hall.serve(connection)
    await connection.until(b"caught_up")
    connection.left.set()
    await serving
    assert (hall.hub.readers, hall.seats.taken) == (0, 0)
    await hall.hub.close()
    assert asyncio.all_tasks() == before


async def test_a_stop_says_when_to_come_again_and_not_that_it_is_over() -> None:
    source = Played(1)
    hall, connection = Hall(source), Connection()
    serving = hall.serve(connection)
    await connection.until(b"caught_up")
    hall.hub.stop()
    await serving
    assert named(connection) == ["caught_up"]
    assert connection.text.rpartition("retry: ")[2].strip().isdecimal()
    assert connection.text.count("retry: ") == 2
    assert connection.complete
    await hall.hub.close()


async def test_who_takes_nothing_at_the_stop_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "FAREWELL_SECONDS", 0.0)
    source = Played(1)
    hall, connection = Hall(source), Connection()
    serving = hall.serve(connection)
    await connection.until(b"caught_up")
    connection.taking.clear()
    hall.hub.stop()
    await serving
    assert not connection.complete
    await hall.hub.close()


async def test_deleted_events_are_told_with_the_first_that_is_left() -> None:
    hall, connection = Hall(Played(20, first=8)), Connection()
    await hall.serve(connection, after=3)
    (problem,) = [event for event in all_in(connection.text) if event["event"] == "problem"]
    assert (problem["data"]["code"], problem["data"]["status"]) == ("events_pruned", 410)
    assert problem["data"]["first"] == 8
    assert numbers(connection) == []
    left = Connection()
    serving = hall.serve(left, after=7)
    await left.until(b"caught_up")
    assert numbers(left) == list(range(8, 21))
    left.left.set()
    await serving
    await hall.hub.close()


async def test_a_failure_is_told_and_the_next_reader_begins_anew() -> None:
    source = Played(1)
    hall, connection = Hall(source), Connection()
    serving = hall.serve(connection)
    await connection.until(b"caught_up")
    source.fail(DatabaseUnavailable("postgresql://ada:s3cr3t@host is gone"))
    await serving
    assert named(connection) == ["caught_up", "problem"]
    assert "s3cr3t" not in connection.text
    source.failure = None
    again = Connection()
    serving = hall.serve(again)
    await again.until(b"caught_up")
    source.add(over=True)
    await serving
    assert numbers(again) == [1, 2]
    await hall.hub.close()


async def test_silence_is_filled_with_comments_and_loses_nothing() -> None:
    source = Played(1)
    hall, connection = Hall(source, heartbeat=0.001), Connection()
    serving = hall.serve(connection)
    await connection.until(b": still here\n\n: still here\n\n")
    source.add(over=True)
    await serving
    assert numbers(connection) == [1, 2]
    await hall.hub.close()


async def test_a_channel_without_readers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "LINGER_SECONDS", 0.0)
    source = Played(1)
    hall, connection = Hall(source, heartbeat=0.001), Connection()
    serving = hall.serve(connection)
    await connection.until(b"caught_up")
    connection.left.set()
    await serving
    await eventually(lambda: not hall.hub._channels, what="the channel stays")
    assert hall.hub.encoded == 1
    await hall.hub.close()


@pytest.mark.parametrize(
    ("bounds", "holder", "error", "code"),
    [
        (Bounds(process=1), Holder(), Unavailable, "too_many_streams"),
        (Bounds(workspace=1), Holder(workspace="w"), TooManyStreams, "stream_limit_reached"),
        (Bounds(user=1), Holder(user="u", workspace="w"), TooManyStreams, "stream_limit_reached"),
    ],
)
async def test_streams_are_bounded(
    bounds: Bounds, holder: Holder, error: type[Exception], code: str
) -> None:
    hall, connection = Hall(Played(0), bounds=bounds), Connection()
    serving = hall.serve(connection, holder=holder)
    await connection.until(b"caught_up")
    with pytest.raises(error):
        hall.seats.check(holder)
    if holder.user or holder.workspace:
        hall.seats.check(Holder(user="another", workspace="another"))
    refused = Connection()
    await hall.serve(refused, holder=holder)
    assert refused.status in (429, 503)
    assert code in refused.text
    assert b"retry-after" in dict(refused.sent[0]["headers"])
    connection.left.set()
    await serving
    hall.seats.check(holder)
    await hall.hub.close()


def test_seats_forget_who_has_none() -> None:
    seats = Seats(Bounds())
    with seats.take(Holder(user="u", workspace="w")):
        assert (seats.taken, len(seats._of_user), len(seats._of_workspace)) == (1, 1, 1)
    assert (seats.taken, len(seats._of_user), len(seats._of_workspace)) == (0, 0, 0)


def test_pieces_are_bounded_and_hold_one_frame_at_least() -> None:
    batch = Batch(Frame(seq, b"x" * 30_000) for seq in range(5, 10))
    batch.extend([Frame(10, b"y" * 100_000)])
    seen = []
    place = 4
    while (piece := batch.after(place)) is not None:
        seen.append((piece.seq, len(piece.sent)))
        place = piece.seq
    assert seen == [(6, 60_000), (8, 60_000), (9, 30_000), (10, 100_000)]
    assert batch.after(3) is None
    assert batch.after(10) is None
    assert Batch().after(0) is None


def test_a_ring_keeps_the_newest() -> None:
    ring = Batch(most=3, most_bytes=100)
    ring.extend(Frame(seq, b"x" * 10) for seq in range(1, 6))
    assert (len(ring), ring.size, ring.last) == (3, 30, 5)
    ring.extend([Frame(6, b"x" * 500)])
    assert (len(ring), ring.size) == (1, 500)
    assert ring.after(4) is None


def test_kept_pages_are_bounded_by_their_bytes() -> None:
    pages = Pages(most_bytes=100)
    for name in "abc":
        pages.keep(name, Batch([Frame(1, b"x" * 40)]))
    assert [name for name in "abc" if pages.get(name)] == ["b", "c"]
    pages.keep("b", Batch([Frame(1, b"x" * 20)]))
    pages.keep("d", Batch([Frame(1, b"x" * 40)]))
    assert [name for name in "bcd" if pages.get(name)] == ["b", "c", "d"]


def test_a_note_has_no_number_and_one_line() -> None:
    assert note("end\n", {"text": "a\nb"}) == b'event: end \ndata: {"text":"a\\nb"}\n\n'


@pytest.mark.parametrize(("last", "after"), [("3", 0), (None, 3), ("0", 9)])
def test_a_position_before_what_is_left_is_gone(last: str | None, after: int) -> None:
    with pytest.raises(Conflict) as caught:
        position(last, after, last_seq=9, first=5)
    assert (caught.value.code, caught.value.details) == ("events_pruned", {"first": 5})
    assert position("4", 0, last_seq=9, first=5) == 4
