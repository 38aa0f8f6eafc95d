"""Connections that break, hang, lose replies or cannot be had."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.database import Database
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonObject
from tests.faults.harness.arena import LONG, Arena, chain, fan, flow, sized
from tests.faults.harness.invariants import all_events
from tests.faults.harness.proxy import Link, Proxy, Rule
from tests.faults.harness.server import through

EXCHANGE = b"flowbuilder.exchange"


async def _lose_exchanges(arena: Arena, rule: Rule) -> None:
    """Run work through two proxies, each of which loses exchanges that report completions."""
    proxies = [await arena.proxy() for _ in range(2)]
    workers = [arena.worker(proxy=proxy) for proxy in proxies]
    await arena.joined(*workers)
    for proxy in proxies:
        proxy.rules.append(rule)
    for _ in range(sized(2, 20)):
        await arena.start(fan(sized(40, 100), ms=5))
    await arena.outputs(seconds=120)
    arena.fired(f"{rule.action} of an exchange", rule.fired)
    await arena.check()


async def test_f22_the_replies_of_committed_exchanges_are_lost(arena: Arena) -> None:
    """F22: committed, the answer swallowed, the connection cut: the repeat knows itself."""
    rule = Rule(
        EXCHANGE, "swallow_reply", holding=b"completed", times=sized(8, 200), every=sized(1, 3)
    )
    await _lose_exchanges(arena, rule)
    # What a lost answer had handed out is handed out again under the same fence: no handler
    # begins twice.
    arena.assert_extra_entries(at_most=0)


async def test_f23_exchanges_are_cut_before_they_reach_the_server(arena: Arena) -> None:
    """F23: not applied: the report comes again, nothing is lost and no handler begins twice."""
    rule = Rule(
        EXCHANGE, "cut_before", holding=b"completed", times=sized(8, 200), every=sized(1, 3)
    )
    await _lose_exchanges(arena, rule)
    arena.assert_extra_entries(at_most=0)


async def test_f23_a_connection_is_cut_while_a_pool_opens(arena: Arena) -> None:
    """F23: a server that goes just when a process comes is one that cannot be reached."""
    proxy = await arena.proxy()
    rule = Rule(b"pg_postmaster_start_time", "cut_before")
    proxy.rules.append(rule)
    with pytest.raises(DatabaseUnavailable):
        await Database.open(through(arena.dsn, proxy.port))
    arena.fired("cut while it opens", rule.fired)


async def test_f22_the_reply_to_a_start_is_lost(arena: Arena) -> None:
    """F22: a client repeats a start whose reply was lost, and gets the same run."""
    proxy = await arena.proxy()
    rule = Rule(b"flowbuilder.start_run", "swallow_reply", times=sized(3, 20))
    proxy.rules.append(rule)
    arena.worker()
    async with AsyncExitStack() as stack:
        arena.store.database = await stack.enter_async_context(
            await Database.open(
                through(arena.dsn, proxy.port), application_name="faults", size=2, wait=5
            )
        )
        for _ in range(sized(5, 30)):
            await arena.start(chain(1), 1)
        arena.store.database = arena.database
    arena.fired("lost reply of a start", rule.fired)
    rows = await arena.store.list_runs(limit=1000)
    assert sorted(row.id for row in rows) == sorted(arena.acknowledged)
    await arena.check()


async def test_f24_connections_that_swallow_everything(arena: Arena) -> None:
    """F24: no reset, no answer: the other worker takes over, each task completes once."""
    proxy = await arena.proxy()
    stuck = arena.worker(proxy=proxy, lease=1.0)
    await arena.joined(stuck)
    gate = arena.folder / "gate"
    await arena.start(fan(8, tool="fault.hold", args=_held(gate)))
    await arena.hold(lambda: arena.ledger.count() == 4, what="the first worker does not begin")
    proxy.blackhole()
    other = arena.worker(lease=1.0)
    gate.touch()
    await arena.outputs()
    arena.fired("black hole", proxy.swallowed)
    assert other.alive
    proxy.heal()
    # Back again, it works: it is the only one left.
    other.terminate()
    await other.gone()
    await arena.start(chain(2), 1)
    await arena.check()
    arena.assert_extra_entries(at_most=4)


async def test_f24_old_connections_hang_while_new_ones_work(arena: Arena) -> None:
    """F24: what was open swallows everything for ever; a worker finds that out by itself.

    So does a firewall that has forgotten a connection, or a pooler whose server hangs.
    """
    proxy = await arena.proxy()
    worker = arena.worker(proxy=proxy, lease=1.0)
    await arena.joined(worker)
    old = set(proxy.links)
    proxy.blackhole(lambda link: link in old)
    await arena.start(chain(2), 1)
    await arena.outputs(seconds=sized(20, 90))
    arena.fired("black hole", proxy.swallowed)
    proxy.heal()  # the server has no other way to learn that nobody is there any more
    await arena.check()


async def test_f25_one_worker_is_partitioned(arena: Arena) -> None:
    """F25: its tasks move on; what it reports when it is back changes nothing."""
    proxy = await arena.proxy()
    apart = arena.worker(proxy=proxy)
    await arena.joined(apart)
    gate, late = arena.folder / "gate", arena.folder / "late"
    run_id = await arena.start(fan(4, tool="fault.hold", args=_held(gate)))
    await arena.hold(lambda: arena.ledger.count() == 4, what="it does not begin")
    arena.fired("partition", proxy.partition())
    other = arena.worker()
    await arena.hold(lambda: arena.ledger.count() == 8, what="the tasks do not move on")
    gate.touch()
    await arena.outputs()
    before = await arena.rows(run_id)
    proxy.heal()
    other.terminate()
    await other.gone()
    # Only the one that was apart is left to do this.
    late.touch()
    await arena.start(flow("late", [{"id": "late", "tool": "fault.hold", "args": _held(late)}]))
    await arena.check()
    assert before == await arena.rows(run_id)
    assert arena.ledger.entries("late")[0].pid == apart.pid
    arena.assert_extra_entries(at_most=4)


async def test_f26_the_server_has_no_connection_left(arena: Arena) -> None:
    """F26: every connection is taken and the pool is of one: the work waits, then goes on."""
    proxy = await arena.proxy()
    worker = arena.worker(proxy=proxy, pool_size=1, pool_wait=1.0)
    await arena.joined(worker)
    gate = arena.folder / "gate"
    await arena.start(fan(sized(12, 300), tool="fault.hold", args=_held(gate)))
    await arena.hold(lambda: arena.ledger.count() == 4, what="it does not begin")
    hogs: list[psycopg.AsyncConnection[tuple[object, ...]]] = []
    try:
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            while True:
                hogs.append(await psycopg.AsyncConnection.connect(arena.dsn))
        opened = proxy.opened
        arena.fired("cut while full", proxy.cut(application="flowbuilder"))
        gate.touch()
        # What has ended now cannot be reported.
        await arena.hold(lambda: proxy.opened > opened, what="it does not try to come back")
    finally:
        for hog in hogs:
            await hog.close()
    await arena.outputs(seconds=90)
    await arena.check()


async def test_f27_the_listener_is_dropped(arena: Arena) -> None:
    """F27: the backend that listens is killed, or hangs in silence: polling finds the work."""
    proxy = await arena.proxy()
    poll = sized(1, 5)
    worker = arena.worker(proxy=proxy, poll=poll)
    await arena.joined(worker)
    await arena.hold(lambda: _listens(proxy), what="it does not listen")
    killed = await _terminate(arena, "flowbuilder-listen")
    arena.fired("listener killed", killed)
    await arena.start(chain(3), 1)
    await arena.outputs()
    await arena.hold(lambda: _listens(proxy), what="it does not listen again")
    proxy.blackhole(lambda link: link.application == "flowbuilder-listen")
    async with Notifications(arena.database) as notifications:
        run_id = await arena.start(chain(3), 2)
        await notifications.announce([run_id], ready=True)
        await arena.hold(lambda: proxy.swallowed > 0, what="no notification was swallowed")
        arena.fired("notification swallowed", proxy.swallowed)
    began = time.monotonic()
    await arena.outputs()
    arena.figure(found_by_polling=round(time.monotonic() - began, 2), poll=poll)
    if LONG:  # an interval is as long as it says give or take a fifth
        assert time.monotonic() - began < 1.2 * poll + 1
    proxy.heal()
    await arena.check()


async def test_f27_whoever_asks_is_told_that_the_listener_is_dropped(arena: Arena) -> None:
    """F27: the health of a process says that it is deaf, since when it hears again, how often."""
    proxy = await arena.proxy()
    behind = through(arena.dsn, proxy.port)
    async with (
        await Database.open(behind, application_name="faults", size=2, wait=5) as database,
        Notifications(database) as notifications,
    ):
        notifications.on_events(lambda _: None)

        async def listening() -> bool:
            return (await notifications.health())["listening"] is True

        await arena.hold(listening, what="it does not listen")
        rule = Rule(b"listen", "cut_before", times=1_000_000, application="flowbuilder-listen")
        proxy.rules.append(rule)
        killed = await _terminate(arena, "flowbuilder-listen")
        arena.fired("listener killed", killed)
        await arena.hold(lambda: rule.fired > 0, what="it does not try to listen again")
        deaf = await notifications.health()
        assert (deaf["listening"], deaf["connected_since"], deaf["database"]) == (False, None, True)
        proxy.rules.remove(rule)
        await arena.hold(listening, what="it does not listen again")
        healthy = await notifications.health()
        assert healthy["reconnects"] == 1 and healthy["connected_since"] is not None
    await arena.check()


async def test_f28_every_notification_is_lost(arena: Arena) -> None:
    """F28: correct, only slower."""
    proxy = await arena.proxy()
    rule = Rule(b"pg_notify", "cut_before", times=1_000_000)
    proxy.rules.append(rule)
    for _ in range(2):
        arena.worker(proxy=proxy)
    for _ in range(sized(3, 30)):
        await arena.start(chain(4), 1)
        await arena.start(fan(8))
    await arena.outputs()
    arena.fired("NOTIFY lost", rule.fired)
    await arena.check()
    arena.assert_extra_entries(at_most=0)


async def test_f30_the_queue_of_notifications_is_full(arena: Arena) -> None:
    """F30: a listener that never looks fills the queue: no commit of ours fails of it."""
    worker = arena.worker()
    await arena.joined(worker)
    async with (
        await psycopg.AsyncConnection.connect(arena.dsn) as blocker,
        await psycopg.AsyncConnection.connect(arena.dsn, autocommit=True) as filler,
    ):
        await blocker.execute("listen faults")
        await blocker.commit()
        await blocker.execute("select 1")  # idle in a transaction: it takes nothing off
        with pytest.raises(psycopg.OperationalError, match="NOTIFY queue"):
            while True:
                await filler.execute(
                    "select pg_notify('faults', repeat('x', 7000) || n)"
                    " from generate_series(1, 20) n"
                )
        arena.fired("full queue")
        await arena.start(chain(4), 1)
        await arena.start(fan(10))
        await arena.outputs()
        await blocker.rollback()
    await arena.check()
    arena.assert_extra_entries(at_most=0)


async def test_f38_every_message_is_slow(arena: Arena) -> None:
    """F38: long round trips: no lease ends before its time, nothing runs twice, and a round trip
    does for several tasks."""
    proxy = await arena.proxy()
    proxy.executed[EXCHANGE] = 0
    workers = [arena.worker(proxy=proxy, lease=2.0, concurrency=8) for _ in range(2)]
    await arena.joined(*workers)
    # Of each message: a round trip has about six of them.
    proxy.delay = arena.dice.uniform(0.03, 0.06) if not LONG else arena.dice.uniform(0.08, 0.15)
    steps = sized(80, 400)
    await arena.start(fan(steps, ms=10))
    await arena.start(chain(2, ms=sized(900, 6000)), 1)
    await arena.outputs(seconds=180)
    arena.fired("delay", proxy.delayed)
    arena.figure(delay=round(proxy.delay, 3), exchanges=proxy.executed[EXCHANGE], steps=steps)
    proxy.delay = 0
    await arena.check()
    arena.assert_extra_entries(at_most=0)
    rows = await arena.database.fetch_all(b"select 1 from flowbuilder.tasks where fence <> 1")
    assert rows == []
    assert proxy.executed[EXCHANGE] < steps / 2


async def test_f11_without_that_connection_work_extends_the_leases(arena: Arena) -> None:
    """F11: as long as the worker's other calls get through, they keep what it holds: nobody else
    begins the step, however long it takes."""
    proxy = await arena.proxy()
    rule = Rule(b"", "cut_before", times=1_000_000, application="flowbuilder-leases")
    proxy.rules.append(rule)
    mute = arena.worker(proxy=proxy, lease=2.5, poll=1.0, concurrency=2)
    await arena.joined(mute)
    slow: JsonObject = {"id": "slow", "tool": "fault.work", "args": {"ms": sized(6000, 25_000)}}
    await arena.start(flow("slow", [slow]))
    await arena.hold(lambda: arena.ledger.count() == 1, what="it does not begin")
    await arena.joined(arena.worker(lease=2.5, concurrency=1))
    await arena.outputs()
    arena.fired("lease connection cut", rule.fired)
    await arena.check()
    arena.assert_extra_entries(at_most=0)


async def test_f11_only_the_connection_that_extends_leases_is_lost(arena: Arena) -> None:
    """F11: with the event loop held up as well, the lease ends; the late outcome is fenced."""
    proxy = await arena.proxy()
    rule = Rule(b"", "cut_before", times=1_000_000, application="flowbuilder-leases")
    proxy.rules.append(rule)
    mute = arena.worker(proxy=proxy, lease=1.0, concurrency=1)
    await arena.joined(mute)
    block: JsonObject = {"id": "block", "tool": "fault.block", "args": {"ms": 2200}}
    run_id = await arena.start(flow("blocked", [block]))
    await arena.hold(lambda: arena.ledger.count() == 1, what="it does not begin")
    other = arena.worker(lease=10.0, concurrency=1)
    await arena.hold(lambda: arena.ledger.count() == 2, what="the task does not move on")
    arena.fired("lease connection cut", rule.fired)
    await arena.outputs()
    events = await all_events(arena.store, run_id)
    (task,) = await arena.store.run_tasks(run_id)
    assert task.fence == 2
    assert [event.type for event in events].count("task_completed") == 1
    assert other.alive
    await arena.check()


async def test_f21_workers_lose_all_their_connections_again_and_again(arena: Arena) -> None:
    """F21: resets of everything at once, also while it comes back: nothing is stranded."""
    proxies = [await arena.proxy() for _ in range(2)]
    workers = [arena.worker(proxy=proxy) for proxy in proxies]
    await arena.joined(*workers)
    for _ in range(sized(2, 10)):
        await arena.start(fan(sized(40, 200), ms=10))
    cuts = 0
    for _ in range(sized(3, 60)):
        await asyncio.sleep(arena.dice.uniform(0.05, 0.3) if not LONG else 0.5)
        cuts += arena.dice.choice(proxies).cut()
    arena.fired("connection reset", cuts)
    await arena.outputs()
    await arena.check()
    assert {run.status for run in await arena.ended()} == {RunStatus.COMPLETED}


def _held(gate: Path) -> JsonObject:
    return {"gate": str(gate)}


async def _terminate(arena: Arena, application: str) -> int:
    rows = await arena.database.fetch_all(
        b"select pg_terminate_backend(pid) from pg_stat_activity"
        b" where application_name = %s and datname = current_database()",
        (application,),
    )
    return len(rows)


def _listens(proxy: Proxy) -> bool:
    def listens(link: Link) -> bool:
        return link.application == "flowbuilder-listen" and link.down > 0

    return any(listens(link) for link in proxy.links)
