"""The server is killed, crashes, restarts, and throws connections out."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from flowbuilder import FlowBuilder
from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.notifications import Notifications
from tests.faults.harness.arena import LONG, Arena, chain, fan, sized
from tests.faults.harness.invariants import all_events
from tests.faults.harness.pace import Pace, assert_all_completed
from tests.faults.harness.proxy import Rule
from tests.faults.harness.server import through

_TERMINATE_ONE = b"""
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name like 'flowbuilder%%'
order by random() limit 1"""


async def test_f17_the_server_is_killed_under_load(arena: Arena) -> None:
    """F17: kill -9 of the postmaster and every backend: what was committed stays, runs go on, and
    afterwards they go on as fast as before."""
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    pace, seconds = await Pace.of(arena, fan(4, ms=10), rate=20), sized(1, 12)
    before = await pace.keep(seconds)
    starting = asyncio.create_task(_keep_starting(arena, sized(6, 60)))
    for _ in range(sized(1, 5)):
        mark = arena.ledger.count()
        await arena.hold(lambda: arena.ledger.count() > mark + 10, what="no progress")  # noqa: B023
        victims = await asyncio.to_thread(arena.server.kill)
        arena.fired("kill -9 of the server", len(victims) > 1)
        await asyncio.to_thread(arena.server.start)
    await starting
    await arena.outputs(seconds=120)
    after = await pace.keep(seconds)
    arena.figure(rates=f"{before.rate:.1f} {after.rate:.1f}")
    if LONG:
        assert after.rate >= 0.95 * before.rate
    await arena.check()
    unlogged = await arena.database.fetch_all(
        b"select relname from pg_class where relpersistence = 'u'"
        b" and (relnamespace = 'flowbuilder'::regnamespace or relname like 'q\\_%%')"
    )
    assert unlogged == []


async def test_f18_the_server_crashes_again_and_again(arena: Arena) -> None:
    """F18: immediate stops with some time down, at random; long: twenty times, up to 30 s."""
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    crashes = sized(2, 20)
    starting = asyncio.create_task(_keep_starting(arena, crashes * sized(3, 10)))
    for _ in range(crashes):
        await asyncio.sleep(arena.dice.uniform(0.1, 0.5) if not LONG else arena.dice.uniform(1, 5))
        await asyncio.to_thread(arena.server.stop, "immediate")
        arena.fired("crash of the server")
        down = arena.dice.choice([0.0, arena.dice.uniform(0, 3), arena.dice.uniform(0, 30)])
        await asyncio.sleep(down / (1 if LONG else 100))
        await asyncio.to_thread(arena.server.start)
    await starting
    await arena.outputs(seconds=300)
    await arena.check()


async def test_f18_an_outage_is_over_when_the_server_is_back(arena: Arena) -> None:
    """F18: workers that have tried in vain for long do not sit out a long pause."""
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    await arena.start(chain(2), 1)
    await arena.ended()
    await asyncio.to_thread(arena.server.stop, "fast")
    arena.fired("outage")
    await asyncio.sleep(sized(2, 60))
    await asyncio.to_thread(arena.server.start)
    began = time.monotonic()
    await arena.connect()
    await arena.start(chain(2), 2)
    await arena.hold(lambda: arena.ledger.count() > 2, seconds=90, what="nobody comes back")
    arena.figure(back_after=round(time.monotonic() - began, 2))
    if LONG:
        assert time.monotonic() - began < 6.0  # a listener may sit out a pause of five
    await arena.check()


async def _keep_starting(arena: Arena, count: int) -> None:
    """Start runs also while the server is away: a start that was acknowledged is never lost."""
    for _ in range(count):
        await arena.start(chain(3, ms=20), 1)
        await arena.start(fan(8, ms=20))
        await asyncio.sleep(0.05)


async def test_f19_a_restart_while_workers_listen(arena: Arena) -> None:
    """F19: they listen again: only a notification can wake them before their next poll. Long: a run
    that comes then takes at most a second longer than one before."""
    worker = arena.worker(poll=60.0)
    await arena.joined(worker)
    await arena.hold(lambda: _listening(arena), what="nobody listens")
    before = await _announced(arena)
    await asyncio.to_thread(arena.server.stop, "fast")
    await asyncio.to_thread(arena.server.start)
    arena.fired("restart")
    await arena.persistently(lambda: arena.database.fetch_all(b"select 1"))
    await arena.hold(lambda: _listening(arena), what="nobody listens again")
    after = await _announced(arena)
    arena.figure(before=round(before, 3), after=round(after, 3))
    if LONG:
        assert after < before + 1.0
    await arena.check()


async def _announced(arena: Arena) -> float:
    """Start a run and say so; returns the seconds until it has ended."""
    async with Notifications(arena.database) as notifications:
        began = time.monotonic()
        run_id = await arena.start(chain(2), 1)
        await notifications.announce([run_id], ready=True)
        await arena.outputs(seconds=30)
    return time.monotonic() - began


async def test_f19_whoever_listens_again_looks_for_what_it_has_missed(arena: Arena) -> None:
    """F19: nobody tells of a run that came while nobody listened; the next poll is far away."""
    proxy = await arena.proxy()
    worker = arena.worker(proxy=proxy, poll=60.0)
    await arena.joined(worker)
    await arena.hold(lambda: _listening(arena), what="nobody listens")
    await arena.hold(lambda: _at_rest(arena), what="it goes on looking by itself")
    rule = Rule(b"listen", "cut_before", times=1_000_000, application="flowbuilder-listen")
    proxy.rules.append(rule)
    assert proxy.cut(application="flowbuilder-listen") == 1
    await arena.start(chain(2), 1)
    await arena.hold(lambda: rule.fired > 0, what="it does not try to listen again")
    assert arena.ledger.count() == 0
    arena.fired("listener cut off", rule.fired)
    proxy.rules.remove(rule)
    began = time.monotonic()
    await arena.outputs(seconds=30)
    arena.figure(after_listening_again=round(time.monotonic() - began, 2))
    await arena.check()


async def _listening(arena: Arena) -> bool:
    rows = await arena.persistently(
        lambda: arena.database.fetch_all(
            b"select 1 from pg_stat_activity where application_name = 'flowbuilder-listen'"
            b" and datname = current_database() and query ilike 'listen%%'"
        )
    )
    return bool(rows)


async def _at_rest(arena: Arena) -> bool:
    """Whether the worker's first looks are over: none of its connections is used any more."""
    rows = await arena.persistently(
        lambda: arena.database.fetch_all(
            b"select 1 from pg_stat_activity where datname = current_database()"
            b" and application_name like 'flowbuilder%%'"
            b" and (state <> 'idle' or state_change > clock_timestamp() - interval '1 second')"
        )
    )
    return not rows


async def test_f20_a_restart_while_a_killed_workers_tasks_are_recovered(arena: Arena) -> None:
    """F20: killed worker, and the server goes down while the others find out: none is stranded."""
    for _ in range(sized(1, 10)):
        workers = [arena.worker() for _ in range(2)]
        await arena.joined(*workers)
        await arena.start(fan(sized(40, 100), ms=30))
        mark = arena.ledger.count()
        await arena.hold(lambda: arena.ledger.count() > mark + 5, what="no progress")  # noqa: B023
        workers[0].kill()
        await asyncio.sleep(arena.dice.choice([0.2, 1.1]))
        await asyncio.to_thread(arena.server.stop, "immediate")
        arena.fired("restart during recovery")
        await asyncio.to_thread(arena.server.start)
        await arena.outputs(seconds=120)
        workers[1].terminate()
        await workers[1].gone()
    await arena.check()


async def test_f21_a_storm_of_terminated_backends(arena: Arena) -> None:
    """F21: five times a second some backend of ours is thrown out; long: for 60 s, and the rate
    from five seconds after it on is at least 95 % of the rate before. No task counts as poison."""
    workers = [arena.worker(concurrency=8, max_claims=3) for _ in range(2)]
    await arena.joined(*workers)
    pace = await Pace.of(arena, fan(8, ms=10), rate=10)
    before = await pace.keep(sized(1, 12))
    storm = asyncio.create_task(pace.keep(sized(2, 60)))
    thrown = 0
    while not storm.done():
        thrown += len(await arena.database.fetch_all(_TERMINATE_ONE))
        await asyncio.sleep(0.2)
    during = await storm
    arena.fired("terminated backend", thrown)
    await pace.keep(sized(1, 5))
    after = await pace.keep(sized(1, 12))
    runs = await arena.ended(seconds=120)
    assert {run.status.value for run in runs} == {"completed"}
    await arena.check()
    await assert_all_completed(arena, pace.started)
    arena.figure(rates=" ".join(f"{one.rate:.1f}" for one in (before, during, after)))
    if LONG:
        assert after.rate >= 0.95 * before.rate


async def test_f55_one_key_from_fifty_clients_during_a_restart(arena: Arena) -> None:
    """F55: all get the same run, also those who ask after its end."""
    arena.worker()

    async def client(number: int) -> str:
        await asyncio.sleep(arena.dice.uniform(0, 0.4))
        return await arena.start(chain(2), 1, key="the same")

    clients = [asyncio.create_task(client(number)) for number in range(50)]
    await asyncio.sleep(0.1)
    await asyncio.to_thread(arena.server.stop, "immediate")
    assert not all(one.done() for one in clients)
    arena.fired("restart")
    await asyncio.to_thread(arena.server.start)
    assert len(set(await asyncio.gather(*clients))) == 1
    await arena.outputs()
    assert await arena.start(chain(2), 1, key="the same") == arena.acknowledged[0]
    arena.acknowledged = arena.acknowledged[:1]
    assert len(await arena.store.list_runs()) == 1
    await arena.check()


async def test_f56_a_stream_is_read_across_crashes(arena: Arena) -> None:
    """F56: the reader takes up where it stopped, the writer is killed: no gap, nothing twice."""
    workers = [arena.worker(concurrency=2) for _ in range(2)]
    await arena.joined(*workers)
    run_id = await arena.start(fan(sized(40, 400), ms=20))
    crash: asyncio.Task[None] | None = None
    seen: list[int] = []
    last = False
    while not last:
        page = await _page(arena, run_id, seen[-1] if seen else 0)
        seen += [event.seq for event in page]
        last = bool(page) and page[-1].terminal
        if len(seen) > 20 and crash is None:
            workers[0].kill()
            crash = asyncio.create_task(_crash(arena))
    assert crash is not None
    await crash
    assert seen == [event.seq for event in await all_events(arena.store, run_id)]
    await arena.outputs()
    await arena.check()


async def test_f56_a_slow_reader_loses_its_connections(arena: Arena) -> None:
    """F56: the library's reader starts again behind the last number; the writer waits for none."""
    worker = arena.worker()
    await arena.joined(worker)
    proxy = await arena.proxy()
    run_id = await arena.start(fan(sized(20, 200), ms=10))
    opened = FlowBuilder.connect(
        through(arena.dsn, proxy.port), registry=arena.registry, worker=False
    )
    seen: list[int] = []
    cuts = 0
    async with opened as reader:
        run = await reader.get_run(run_id)
        while not seen or seen[-1] < (await _last(arena, run_id)):
            with suppress(DatabaseUnavailable):
                async for event in run.events(after=seen[-1] if seen else 0):
                    seen.append(event.seq)
                    if len(seen) == 3:
                        await arena.ended()  # while the reader has got no further
                    if len(seen) % 10 == 0:
                        cuts += proxy.cut()
                        break
    arena.fired("reader cut off", cuts)
    assert seen == [event.seq for event in await all_events(arena.store, run_id)]
    await arena.check()


async def _last(arena: Arena, run_id: str) -> int:
    return (await arena.store.get_run(run_id)).last_seq


async def _page(arena: Arena, run_id: str, after: int) -> list[EventRow]:
    return await arena.persistently(lambda: arena.store.events(run_id, after=after, limit=7))


async def _crash(arena: Arena) -> None:
    await asyncio.to_thread(arena.server.stop, "immediate")
    arena.fired("crash in the middle of the stream")
    await asyncio.to_thread(arena.server.start)
