"""Queues that notify: stored first, announced after, found again when an announcement is lost."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowbuilder.errors import DatabaseUnavailable, InvalidValue
from flowbuilder.executor.announcer import EVENTS_CHANNEL, LARGEST_PAYLOAD, chunks
from flowbuilder.executor.database import Database
from flowbuilder.executor.messages import Messages
from flowbuilder.executor.notifications import Message, Notifications
from flowbuilder.types import JsonObject
from tests.support.waiting import eventually

#: So long that no test passes by polling, and so short that one may.
NEVER, OFTEN = timedelta(hours=1), timedelta(milliseconds=50)
SECONDS = 30


@pytest.fixture
async def notifications(database: Database) -> AsyncIterator[Notifications]:
    async with Notifications(database, poll_interval=NEVER) as opened:
        yield opened


async def take(messages: Messages, count: int) -> list[Message]:
    async with asyncio.timeout(SECONDS):
        return [await anext(messages) for _ in range(count)]


async def numbers(messages: Messages, count: int) -> list[Any]:
    return [message.payload["n"] for message in await take(messages, count)]


async def listening(notifications: Notifications, queue: str) -> None:
    """Return when PostgreSQL delivers the queue's notifications to this process."""
    heard = asyncio.Event()
    stop = notifications._listener.hear(queue, lambda _: heard.set())
    async with asyncio.timeout(SECONDS):
        await heard.wait()
    stop()


async def break_listeners(database: Database) -> None:
    rows = await database.fetch_all(
        b"select pg_terminate_backend(pid) as done from pg_stat_activity"
        b" where application_name = 'flowbuilder-listen' and datname = current_database()"
    )
    assert rows and all(row["done"] for row in rows)


_KILL_LISTENERS = (
    b"select pg_terminate_backend(pid) from pg_stat_activity"
    b" where application_name = 'flowbuilder-listen' and datname = current_database()"
)


async def test_a_message_of_any_size_arrives_and_the_channel_carries_ids_only(
    database: Database, notifications: Notifications
) -> None:
    raw: list[str] = []
    other = await database.dedicated()
    await other.execute("listen task_events")
    async with notifications.listen("task_events") as messages:
        await listening(notifications, "task_events")
        large: JsonObject = {"text": "ü" * 200_000, "zero": 0, "no": False, "none": None}
        number = await notifications.send_with_notify("task_events", large)
        [message] = await take(messages, 1)
    assert (message.id, message.queue, message.payload) == (number, "task_events", large)
    async for heard in other.notifies(timeout=SECONDS, stop_after=1):
        raw.append(heard.payload)
    await other.close()
    assert [json.loads(text) for text in raw] == [{"queue": "task_events", "msg_id": number}]


async def test_every_listener_sees_every_message_sent_while_it_listens(
    notifications: Notifications,
) -> None:
    await notifications.send_with_notify("q", {"n": "before"})
    async with notifications.listen("q") as one, notifications.listen("q") as two:
        for n in range(5):
            await notifications.send_with_notify("q", {"n": n})
        assert await numbers(one, 5) == await numbers(two, 5) == [0, 1, 2, 3, 4]


async def test_listening_from_a_number_on_gives_what_came_after_it(
    notifications: Notifications,
) -> None:
    sent = [await notifications.send_with_notify("q", {"n": n}) for n in range(300)]
    async with notifications.listen("q", after=sent[99]) as messages:
        assert await numbers(messages, 200) == list(range(100, 300))
    async with notifications.listen("q", after=0) as messages:
        assert await numbers(messages, 300) == list(range(300))


async def test_a_broken_connection_loses_and_doubles_nothing(
    database: Database, notifications: Notifications
) -> None:
    async with notifications.listen("q") as messages:
        await listening(notifications, "q")
        await notifications.send_with_notify("q", {"n": 0})
        assert await numbers(messages, 1) == [0]
        await break_listeners(database)
        for n in range(1, 20):
            await notifications.send_with_notify("q", {"n": n})
        assert await numbers(messages, 19) == list(range(1, 20))
        await listening(notifications, "q")
        await notifications.send_with_notify("q", {"n": 20})
        assert await numbers(messages, 1) == [20]
    health = await notifications.health()
    assert health["reconnects"] == 1


async def test_listeners_that_are_killed_all_the_time_lose_and_double_nothing(
    database: Database, notifications: Notifications, caplog: pytest.LogCaptureFixture
) -> None:
    """Each sender kills every listener's connection between its messages, large ones too."""
    senders, each = 3, 24

    async def send(sender: int) -> None:
        for n in range(each):
            text = "ü" * (60_000 if n % 6 == 0 else n)  # 120,000 bytes
            await notifications.send_with_notify("q", {"n": [sender, n], "text": text})
            if n % 4 == sender:
                await database.execute(_KILL_LISTENERS)

    async with notifications.listen("q") as one, notifications.listen("q") as two:
        await listening(notifications, "q")
        await break_listeners(database)
        taking = [asyncio.create_task(take(some, senders * each)) for some in (one, two)]
        await asyncio.gather(*map(send, range(senders)))
        for got in await asyncio.gather(*taking):
            payloads: list[Any] = [message.payload for message in got]
            assert sorted(payload["n"] for payload in payloads) == [
                [sender, n] for sender in range(senders) for n in range(each)
            ]
            assert len({message.id for message in got}) == senders * each
            large = [payload["text"] for payload in payloads if payload["n"][1] % 6 == 0]
            assert {len(text) for text in large} == {60_000}
        await eventually(lambda: notifications._listener.connected)
        await notifications.send_with_notify("q", {"n": "last"})
        assert await numbers(one, 1) == await numbers(two, 1) == ["last"]
        assert notifications._listener.reconnects >= 1
    again = [record for record in caplog.records if record.message == "notifications come again"]
    assert again and all(vars(record)["down_seconds"] >= 0 for record in again)


async def test_without_any_notification_polling_finds_the_messages(database: Database) -> None:
    async with (
        Notifications(database, poll_interval=OFTEN) as notifications,
        notifications.listen("q") as messages,
    ):
        for n in range(3):
            await database.execute(b"select pgmq.send('q', %s::jsonb)", (f'{{"n": {n}}}',))
        assert await numbers(messages, 3) == [0, 1, 2]


async def test_a_message_that_commits_after_a_later_one_is_not_lost(database: Database) -> None:
    async with (
        Notifications(database, poll_interval=OFTEN) as notifications,
        notifications.listen("q") as messages,
    ):
        async with database.transaction() as slow:
            await slow.execute("""select pgmq.send('q', '{"n": "early number"}'::jsonb)""")
            await notifications.send_with_notify("q", {"n": "later number"})
            assert await numbers(messages, 1) == ["later number"]
        assert await numbers(messages, 1) == ["early number"]


async def test_a_delayed_message_is_seen_when_its_time_has_come(database: Database) -> None:
    async with (
        Notifications(database, poll_interval=OFTEN) as notifications,
        notifications.listen("q") as messages,
    ):
        number = await notifications.send_with_notify("q", {"n": "delayed"}, delay="1h")
        await notifications.send_with_notify("q", {"n": "now"})
        assert await numbers(messages, 1) == ["now"]
        assert await notifications.receive("q", limit=10) != []
        await database.execute(b"select pgmq.set_vt('q', %s::bigint, 0)", (number,))
        assert await numbers(messages, 1) == ["delayed"]


async def test_consumers_share_messages_and_listeners_still_see_them(
    notifications: Notifications,
) -> None:
    async with notifications.listen("q") as messages:
        for n in range(10):
            await notifications.send_with_notify("q", {"n": n})
        first = await notifications.receive("q", limit=6)
        second = await notifications.receive("q", limit=6)
        assert sorted(m.payload["n"] for m in first + second) == list(range(10))  # type: ignore[type-var]
        done = [await notifications.acknowledge("q", m.id) for m in first + second]
        assert done == [True] * 10
        assert await notifications.acknowledge("q", first[0].id) is False
        assert await numbers(messages, 10) == list(range(10))


async def test_unlisten_ends_the_iteration(notifications: Notifications) -> None:
    async def collect() -> list[Any]:
        return [message.payload["n"] async for message in messages]

    async with notifications.listen("q") as messages:
        reading = asyncio.create_task(collect())
        await notifications.send_with_notify("q", {"n": 1})
        await eventually(lambda: not messages._buffer and 1 in messages._seen)
        await notifications.unlisten("q")
        async with asyncio.timeout(SECONDS):
            assert await reading == [1]
    assert notifications._listener.channels == []


@pytest.mark.parametrize(
    "queue", ["", "Upper", "a b", "a;b", "a--b", "x" * 48, "ü", "a'b", ".a", "a\0", None, 5]
)
async def test_names_that_pgmq_cannot_use_are_refused(
    notifications: Notifications, queue: Any
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await notifications.send_with_notify(queue, {})
    assert (refused.value.code, refused.value.pointer) == ("queue_invalid", "/queue")
    with pytest.raises(InvalidValue):
        notifications.listen(queue)


async def test_the_longest_name_works_and_names_of_ours_are_refused(
    notifications: Notifications,
) -> None:
    longest = "a-b.c_" + "x" * 41
    async with notifications.listen(longest) as messages:
        await notifications.send_with_notify(longest, {"n": 1})
        assert await numbers(messages, 1) == [1]
    with pytest.raises(InvalidValue) as refused:
        await notifications.send_with_notify("flowbuilder_tasks", {})
    assert refused.value.code == "queue_reserved"


@pytest.mark.parametrize(
    "payload", [None, [], "text", {"a": float("nan")}, {"a": "\0"}, {"a": "\ud800"}, {1: 2}]
)
async def test_payloads_that_are_no_clean_object_are_refused(
    notifications: Notifications, payload: Any
) -> None:
    with pytest.raises(InvalidValue):
        await notifications.send_with_notify("q", payload)


@pytest.mark.parametrize(
    "options",
    [{"limit": 0}, {"limit": 2**40}, {"visibility_timeout": 0}, {"visibility_timeout": "soon"}],
)
async def test_receiving_with_numbers_out_of_range_is_refused(
    notifications: Notifications, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue):
        await notifications.receive("q", **options)


async def test_a_queue_that_was_dropped_is_made_again(
    database: Database, notifications: Notifications
) -> None:
    await notifications.send_with_notify("q", {"n": 1})
    await database.execute(b"select pgmq.drop_queue('q')")
    await notifications.send_with_notify("q", {"n": 2})
    assert [m.payload for m in await notifications.receive("q", limit=5)] == [{"n": 2}]


async def test_many_senders_may_make_the_same_queue_at_once(database: Database) -> None:
    senders = [Notifications(database) for _ in range(8)]
    sent = await asyncio.gather(*(one.send_with_notify("new", {}) for one in senders))
    assert len(set(sent)) == 8


async def test_sending_is_logged_with_its_times(
    notifications: Notifications, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="flowbuilder.executor.notifications"):
        number = await notifications.send_with_notify("q", {"secret": "x"})
    [record] = [one for one in caplog.records if one.message == "message sent"]
    said = vars(record)
    assert (said["queue"], said["msg_id"], said["notified"]) == ("q", number, True)
    assert said["store_ms"] > 0 and said["notify_ms"] > 0


async def test_health_tells_whether_the_database_answers(
    database: Database, notifications: Notifications
) -> None:
    healthy = await notifications.health()
    assert (healthy["database"], healthy["listening"], healthy["channels"]) == (True, None, [])
    notifications.on_work(lambda: None)
    await eventually(lambda: notifications._listener.connected)
    assert (await notifications.health())["listening"] is True
    async with notifications.listen("q") as messages:
        await listening(notifications, "q")
        before = datetime.now(UTC)
        number = await notifications.send_with_notify("q", {})
        await take(messages, 1)
        await eventually(lambda: notifications._listener.heard_at is not None)
        health: Any = await notifications.health()
        assert datetime.fromisoformat(health["connected_since"]) <= before
        assert before <= datetime.fromisoformat(health["last_notification_at"])
        assert 0 <= health["queue_usage"] <= 1
        [progress] = health["listeners"]
        assert progress.pop("lag_ms") >= 0
        expected = {"queue": "q", "last_id": number, "buffered": 0, "interrupted": False}
        assert progress == expected
    health = await notifications.health()
    assert health["listeners"] == []
    await database.close()
    assert (await notifications.health())["database"] is False
    with pytest.raises(DatabaseUnavailable):
        await notifications.send_with_notify("q", {})


async def test_wake_ups_reach_watchers_and_are_sent_together(
    database: Database, notifications: Notifications
) -> None:
    heard: list[frozenset[str] | None] = []
    work: list[int] = []
    async with Notifications(database) as others:
        others.on_events(heard.append)
        others.on_work(lambda: work.append(1))
        await eventually(lambda: heard == [None] and work == [1])  # listening, from here on
        for n in range(1000):
            notifications.signal([f"id-{n}"], ready=True)
        await eventually(lambda: len(frozenset().union(*(h or () for h in heard))) == 1000)
        assert len(heard) < 20 and 2 <= len(work) < 20
        await break_listeners(database)
        await eventually(lambda: heard.count(None) == 2)
        await notifications.announce(["again"])
        await eventually(lambda: heard[-1] == frozenset({"again"}))


async def test_this_process_hears_what_it_announces_at_once_and_only_once(
    database: Database, notifications: Notifications
) -> None:
    heard: list[object] = []
    work: list[int] = []
    notifications.on_events(heard.append)
    stop = notifications.on_work(lambda: work.append(1))
    await eventually(lambda: heard == [None] and work == [1])
    notifications.signal(["a"], ready=True)
    assert (heard, work) == ([None, frozenset({"a"})], [1, 1])
    async with Notifications(database) as others:
        await notifications.announce(["b"])
        await others.announce(["c"], ready=True)  # comes after any echo
    await eventually(lambda: heard[-1] == frozenset({"c"}) and len(work) == 3)
    assert heard == [None, frozenset({"a"}), frozenset({"b"}), frozenset({"c"})]
    stop()
    notifications.signal([], ready=True)
    assert len(work) == 3


async def test_what_surely_goes_on_wakes_nobody_who_waits_for_an_end(
    database: Database, notifications: Notifications
) -> None:
    here: list[object] = []
    there: list[frozenset[str] | None] = []
    async with Notifications(database) as others:
        notifications.on_ends(here.append)
        others.on_ends(there.append)
        await eventually(lambda: here == [None] and there == [None])
        notifications.signal(["a", "b"], going_on=["a"])
        notifications.signal(["c"], going_on=["c"])
        notifications.signal(["c"])
        notifications.signal(["d"], going_on=["d"])
        assert here == [None, frozenset({"b"}), frozenset({"c"})]
        await eventually(lambda: len(there) > 1)
        await notifications.announce(["last"])
        await eventually(lambda: "last" in (there[-1] or ()))
        told = [one for heard in there[1:] for one in heard or ()]
        assert sorted(told) == ["b", "c", "last"]


def test_ids_are_cut_into_payloads_that_postgresql_takes() -> None:
    ids = [f"{n:036d}" for n in range(1000)]
    payloads = chunks(ids)
    assert ",".join(payloads).split(",") == ids
    assert all(len(payload.encode()) <= LARGEST_PAYLOAD for payload in payloads)
    assert len(payloads) == 5 and chunks([]) == []


async def test_a_listener_that_fails_does_not_deafen_the_others(
    notifications: Notifications, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ValueError("boom")

    heard: list[object] = []
    notifications.on_events(fail)
    notifications.on_events(heard.append)
    await eventually(lambda: bool(heard))
    await notifications.announce(["a"])
    await eventually(lambda: frozenset({"a"}) in heard)
    assert f"a listener of {EVENTS_CHANNEL} failed" in caplog.text
