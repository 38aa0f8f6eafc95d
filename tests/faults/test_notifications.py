"""Notifications and subscribers while everything around them breaks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.database import Database
from flowbuilder.executor.messages import Message
from flowbuilder.executor.notifications import Notifications
from tests.faults.harness.arena import Arena, chain, fan, sized
from tests.faults.harness.invariants import all_events
from tests.faults.harness.proxy import Proxy, Rule
from tests.faults.harness.server import through

CHANNELS = ("workflow_events", "task_events", "approval_events")
OFTEN = timedelta(milliseconds=200)


@asynccontextmanager
async def subscriber(arena: Arena, proxy: Proxy | None = None) -> AsyncIterator[Notifications]:
    """Open notifications with connections of their own."""
    dsn = arena.dsn if proxy is None else through(arena.dsn, proxy.port)
    async with (
        await Database.open(dsn, application_name="subscriber", size=2, wait=2) as database,
        Notifications(database, poll_interval=OFTEN) as notifications,
    ):
        yield notifications


async def subscribe(arena: Arena, queue: str = "observer") -> None:
    async with subscriber(arena) as notifications:
        for channel in CHANNELS:
            await notifications.subscribe(channel, queue=queue)


class Reader:
    """Consumes a queue until it is stopped, and notes what it was given."""

    def __init__(self, arena: Arena, proxy: Proxy | None = None) -> None:
        self._arena = arena
        self._proxy = proxy
        self.got: list[Message] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with (
            subscriber(self._arena, self._proxy) as notifications,
            notifications.messages("observer", visibility_timeout=2, batch=5) as messages,
        ):
            async for message in messages:
                self.got.append(message)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def drained(arena: Arena) -> bool:
    """Whether nothing is left to deliver or to read."""
    try:
        rows = await arena.database.fetch_all(
            b"select 1 from flowbuilder.deliveries union all select 1 from pgmq.q_observer limit 1"
        )
    except FlowBuilderError:
        return False
    return not rows


async def assert_all_delivered(arena: Arena, got: list[Message], *, twice: int) -> None:
    """Assert that each event of each run arrived, in the order of its stream, few of them again."""
    seen: defaultdict[str, list[int]] = defaultdict(list)
    payloads: dict[tuple[str, int], Any] = {}
    for message in got:
        event: Any = message.payload
        seen[event["stream"]].append(event["seq"])
        payloads[event["stream"], event["seq"]] = event
    assert seen.keys() == set(arena.acknowledged)
    for run_id in arena.acknowledged:
        events = await all_events(arena.store, run_id)
        assert list(dict.fromkeys(seen[run_id])) == [event.seq for event in events]
        for event in events:
            assert payloads[run_id, event.seq]["data"] == event.data
    again = len(got) - len(payloads)
    assert again <= twice, f"{again} messages came again, at most {twice} had cause"


async def test_f29_a_storm_of_notifications_and_payloads_that_are_too_large(arena: Arena) -> None:
    """F29: what PostgreSQL refuses is dropped; the rest arrives, and messages of any size do."""
    worker = arena.worker(concurrency=16)
    await arena.joined(worker)
    heard: set[str] = set()
    async with subscriber(arena) as listening, subscriber(arena) as sending:
        stop = listening.on_events(lambda ids: heard.update(ids or ()))
        async with listening.listen("large") as messages:
            await arena.hold(lambda: listening._listener.connected, what="it does not listen")
            count = sized(500, 10_000)
            for number in range(count):
                sending.signal([f"id-{number}"], ready=True)
                sending.signal(["x" * 10_000])
            arena.fired("payload too large", count)
            text = "ü" * 10_000
            for _ in range(3):
                await sending.send_with_notify("large", {"text": text})
                assert (await anext(messages)).payload == {"text": text}
            for _ in range(sized(1, 10)):
                run_id = await arena.start(fan(sized(100, 1000), ms=0))
            await arena.hold(
                lambda: count <= len(heard & {f"id-{n}" for n in range(count)}),
                what="notifications are missing",
            )
            assert not any(len(one) > 8000 for one in heard)
            await arena.hold(lambda: run_id in heard, what="nothing is heard of the run")
        stop()
    await arena.outputs(seconds=sized(60, 300))
    await arena.check()


async def test_f30_notifications_come_again_after_their_queue_was_full(arena: Arena) -> None:
    """F30, afterwards: PostgreSQL would refuse every further one for ever."""
    async with (
        await psycopg.AsyncConnection.connect(arena.dsn) as blocker,
        await psycopg.AsyncConnection.connect(arena.dsn, autocommit=True) as filler,
    ):
        await blocker.execute("listen faults")
        await blocker.commit()
        await blocker.execute("select 1")  # idle in a transaction: it takes nothing off
        fill = "select pg_notify('faults', repeat('x', 7000) || n) from generate_series(1, 20) n"
        with pytest.raises(psycopg.OperationalError, match="NOTIFY queue"):
            while True:
                await filler.execute(fill)
        arena.fired("full queue")
        async with subscriber(arena) as sending:
            await sending.send_with_notify("q", {"n": 1})  # stored, and said to be not announced
        await blocker.rollback()
    heard: list[object] = []
    async with subscriber(arena) as listening, subscriber(arena) as sending:
        listening.on_events(heard.append)
        await arena.hold(lambda: heard == [None], what="it does not listen")
        await sending.announce(["one"])
        await arena.hold(lambda: frozenset({"one"}) in heard, what="no notification comes")
        got = await sending.receive("q")
        assert [message.payload for message in got] == [{"n": 1}]
    await arena.start(chain(2), 1)
    arena.worker()
    await arena.check()


async def test_subscribers_get_every_event_while_workers_are_killed(arena: Arena) -> None:
    """Killed between commit and delivery, a worker delays an event and loses none."""
    await subscribe(arena)
    workers = [arena.worker(concurrency=4) for _ in range(2)]
    await arena.joined(*workers)
    reader = Reader(arena)
    for _ in range(sized(3, 30)):
        await arena.start(fan(sized(20, 100), ms=5))
    for number in range(sized(2, 20)):
        mark = arena.ledger.count()
        await arena.hold(lambda: arena.ledger.count() > mark + 5, what="no progress")  # noqa: B023
        workers[number].kill()
        workers.append(arena.worker(concurrency=4))
    await arena.outputs(seconds=180)
    await arena.hold(lambda: drained(arena), what="not everything is delivered")
    await reader.stop()
    await assert_all_delivered(arena, reader.got, twice=0)
    await arena.check()


async def test_a_subscriber_delivers_what_the_last_worker_left_behind(arena: Arena) -> None:
    """Nobody but the reader is there to bring what was committed."""
    await subscribe(arena)
    proxy = await arena.proxy()
    rule = Rule(b"flowbuilder.deliver(", "cut_before", times=1_000_000)
    proxy.rules.append(rule)
    worker = arena.worker(proxy=proxy)
    await arena.start(chain(5), 1)
    await arena.outputs()
    await arena.hold(lambda: rule.fired > 0, what="the worker delivers nothing")
    arena.fired("delivery cut", rule.fired)
    worker.kill()
    await worker.gone()
    reader = Reader(arena)
    await arena.hold(lambda: len(reader.got) >= 12, what="the events do not come")
    await arena.hold(lambda: drained(arena), what="not everything is delivered")
    await reader.stop()
    await assert_all_delivered(arena, reader.got, twice=0)
    await arena.check()


async def test_a_delivery_whose_reply_is_lost_is_not_made_twice(arena: Arena) -> None:
    """F22 for deliveries: committed, but nobody is told; the reader finds it by looking."""
    await subscribe(arena)
    proxy = await arena.proxy()
    rule = Rule(b"flowbuilder.deliver(", "swallow_reply", times=sized(3, 30))
    proxy.rules.append(rule)
    worker = arena.worker(proxy=proxy, poll=0.2)
    await arena.joined(worker)
    reader = Reader(arena)
    for _ in range(sized(3, 30)):
        await arena.start(chain(4), 1)
    await arena.outputs(seconds=120)
    await arena.hold(lambda: rule.fired > 0, what="no reply was lost")
    arena.fired("reply of a delivery lost", rule.fired)
    await arena.hold(lambda: drained(arena), what="not everything is delivered")
    await reader.stop()
    await assert_all_delivered(arena, reader.got, twice=0)
    await arena.check()


async def test_a_subscriber_that_hangs_holds_up_nobody(arena: Arena) -> None:
    """Its queue is full, then locked for as long as it takes: runs go on, nothing is lost."""
    async with subscriber(arena) as notifications:
        for channel in CHANNELS:
            await notifications.subscribe(channel, queue="observer", largest=10)
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    for _ in range(sized(2, 20)):
        await arena.start(fan(sized(20, 100), ms=5))
    await arena.outputs()
    async with arena.database.transaction() as hanging:
        await hanging.execute("lock table pgmq.q_observer in access exclusive mode")
        for _ in range(sized(2, 20)):
            await arena.start(fan(sized(20, 100), ms=5))
        await arena.outputs()
        await arena.hold(lambda: refused(arena), what="nobody tried to deliver")
        arena.fired("queue locked")
    [observer, *_] = await arena.store.subscriptions()
    assert (observer.messages, observer.largest) == (10, 10)
    await arena.engine.jump(60)
    reader = Reader(arena)
    await arena.hold(lambda: drained(arena), what="not everything is delivered", seconds=120)
    await reader.stop()
    await assert_all_delivered(arena, reader.got, twice=0)
    await arena.check()


async def refused(arena: Arena) -> bool:
    rows = await arena.database.fetch_all(
        b"select 1 from flowbuilder.subscribers where failures > 0"
    )
    return bool(rows)


async def test_f18_subscribers_catch_up_over_crashes_of_the_server(arena: Arena) -> None:
    """F18, F19: the server crashes, readers lose their connections: they go on where they were."""
    await subscribe(arena)
    proxy = await arena.proxy()
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    readers = [Reader(arena, proxy) for _ in range(2)]
    for round_ in range(sized(2, 10)):
        for _ in range(2):
            await arena.start(fan(sized(15, 100), ms=10))
        mark = sum(len(reader.got) for reader in readers)
        await arena.hold(
            lambda: sum(len(reader.got) for reader in readers) > mark + 10,  # noqa: B023
            what="readers get nothing",
        )
        arena.fired("readers cut off", proxy.cut())
        if round_ % 2 == 0:
            await asyncio.to_thread(arena.server.stop, "immediate")
            arena.fired("crash of the server")
            await asyncio.to_thread(arena.server.start)
    await arena.outputs(seconds=180)
    await arena.hold(lambda: drained(arena), what="not everything is delivered", seconds=90)
    for reader in readers:
        await reader.stop()
    got = [message for reader in readers for message in reader.got]
    got.sort(key=lambda message: message.id)  # two readers have no order between them
    await assert_all_delivered(arena, got, twice=len(readers) * 5 * sum(arena.faults.values()))
    await arena.check()
