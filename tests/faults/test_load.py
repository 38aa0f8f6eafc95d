"""Load that lasts: beside a transaction that never ends, beside retention, inside one run."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from tests.faults.harness.arena import LONG, Arena, chain, fan, sized
from tests.faults.harness.history import History, remember
from tests.faults.harness.lunch import at_lunch
from tests.faults.harness.pace import Pace, assert_all_completed, minutes

#: Steps a second, as much as the machine of a small user has.
RATE = sized(100, 200)
#: Runs that ended longer ago are pruned.
PRUNED_SECONDS = 43_200.0
_HELD = b"""
select max(age(backend_xmin)) as age, count(*) as holders from pg_stat_activity
where state = 'idle in transaction' and backend_xmin is not null
"""


async def test_f39_a_transaction_stays_open_while_work_goes_on(arena: Arena) -> None:
    """F39: somebody begins, looks, and goes to lunch, so that nothing dead can be cleared away:
    the rate stays; long: for ten minutes."""
    workers = [arena.worker(concurrency=8) for _ in range(2)]
    await arena.joined(*workers)
    pace = await Pace.of(arena, chain(1, ms=1), rate=RATE)
    seconds = minutes(10) * 60 if LONG else 3.0
    before = await pace.keep(min(seconds, 30))
    async with at_lunch(arena.dsn):
        during = await pace.keep(seconds)
        held = await arena.database.fetch_one(_HELD)
    assert held is not None
    arena.fired("transaction held open", held["holders"])
    ratio = during.rate / before.rate
    arena.figure(
        rate_ratio=round(ratio, 3), rate=round(during.rate, 1),
        p99=f"{before.p99:.3f}>{during.p99:.3f}", dead=f"{before.dead}>{during.dead}",
        transactions=held["age"],
    )  # fmt: skip
    assert held["age"] > pace.started / 20, "it did not hold anything back"
    if LONG:
        assert ratio >= 0.9
    await arena.check()
    await assert_all_completed(arena, pace.started)


async def test_f63_many_steps_of_one_run_end_at_once(arena: Arena) -> None:
    """F63: eight workers end steps of a single run; every completion takes its lock. Long: at
    least half as fast as the same steps in a hundred runs."""
    workers = [arena.worker(concurrency=8) for _ in range(8)]
    await arena.joined(*workers)
    width, rounds = sized(200, 1000), sized(1, 5)
    apart: list[float] = []
    together: list[float] = []
    for _ in range(rounds):
        together.append(await _time(arena, width=width, runs=1))
        apart.append(await _time(arena, width=width // sized(20, 100), runs=sized(20, 100)))
    busy = len({entry.pid for entry in arena.ledger.entries()})
    arena.fired("worker that met the others in one run", busy if busy > 1 else 0)
    ratio = min(apart) / min(together)
    arena.figure(
        rate_ratio=round(ratio, 2),
        one_run=round(width / min(together)), many_runs=round(width / min(apart)),
    )  # fmt: skip
    if LONG:
        assert ratio >= 0.5
    await arena.check()
    arena.assert_extra_entries(at_most=0)


async def _time(arena: Arena, *, width: int, runs: int) -> float:
    """Return the seconds from the start to the end of so many runs of so many steps each."""
    flow = fan(width, ms=1)
    version = await arena.store.register_version(flow, arena.registry)
    began = time.monotonic()
    started = await arena.store.start_runs(version.id, [None] * runs, timeout_seconds=3600)
    arena.acknowledged += [run_id for run_id, _ in started.runs]
    await arena.ended(seconds=120)
    return time.monotonic() - began


async def test_f57_retention_works_and_is_killed_while_runs_run(arena: Arena) -> None:
    """F57: pruning under load, killed midway: nothing open and nothing young is deleted, no row
    is left without its run, and the next pruning goes on where that one stopped."""
    past = sized(8_000, 400_000)
    await remember(arena.database, History(ended=past, delayed=200, ready=0))
    await arena.database.execute(_AGE)
    workers = [arena.worker(concurrency=8) for _ in range(2)]
    await arena.joined(*workers)
    pace = await Pace.of(arena, chain(2, ms=1), rate=RATE // 2)
    before = await pace.keep(sized(1, 20))
    old = await _old(arena)
    load = asyncio.create_task(pace.keep(sized(3, 30)))
    async with arena.database.transaction() as obstacle:
        await obstacle.execute(b"set local idle_in_transaction_session_timeout = 0")
        await obstacle.execute(_IN_THE_MIDDLE, (PRUNED_SECONDS, old // 2))
        pruner = arena.worker(job="prune")
        stuck = partial(_is_stuck, arena)
        await arena.hold(stuck, seconds=sized(60, 600), what="it is not pruned so far")
        pruner.kill()
        await pruner.gone()
    left = await _old(arena)
    assert 0 < left < old
    arena.fired("kill -9 in the middle of pruning")
    await arena.worker(job="prune").gone(600)
    during = await load
    assert await _old(arena) == 0
    assert await arena.database.fetch_all(_LOST) == []
    assert await _cancel_delayed(arena) == 200, "what was put off is gone"
    ratio = during.rate / before.rate
    arena.figure(pruned=old, left_by_the_first=left, rate_ratio=round(ratio, 3))
    if LONG:
        assert ratio >= 0.9
    await arena.check()


async def _is_stuck(arena: Arena) -> bool:
    """Whether pruning has come to the page in which it meets the obstacle."""
    return bool(await arena.database.fetch_all(_STUCK))


async def _old(arena: Arena) -> int:
    """Count the runs that are to be pruned."""
    row = await arena.database.fetch_one(_OLD, (PRUNED_SECONDS,))
    assert row is not None
    return int(row["n"])


async def _cancel_delayed(arena: Arena) -> int:
    """End what is old and open; it lost nothing."""
    rows = await arena.database.fetch_all(_OPEN_AND_OLD, (PRUNED_SECONDS,))
    for row in rows:
        await arena.store.cancel_run(row["id"])
    return sum(row["tasks"] for row in rows)


_AGE = b"""
update flowbuilder.runs
set created_at = now() - interval '2 days', finished_at = finished_at - interval '1 day'
"""
_OLD = b"""
select count(*) as n from flowbuilder.runs
where finished_at < flowbuilder.now() - make_interval(secs => %s)
"""
#: A task of a run that is pruned in the middle of it all.
_IN_THE_MIDDLE = b"""
select t.id from flowbuilder.tasks t where t.run_id = (
    select r.id from flowbuilder.runs r
    where r.finished_at < flowbuilder.now() - make_interval(secs => %s)
    order by r.created_at, r.id offset %s limit 1)
for update
"""
_STUCK = b"""
select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%%prune_runs%%'
"""
_OPEN_AND_OLD = b"""
select r.id::text, (select count(*) from flowbuilder.tasks t where t.run_id = r.id) as tasks
from flowbuilder.runs r
where r.finished_at is null and r.created_at < flowbuilder.now() - make_interval(secs => %s)
"""
_LOST = b"""
with rows as (
    select 'task' as what, run_id from flowbuilder.tasks
    union all select 'step', run_id from flowbuilder.run_steps
    union all select 'event', stream from flowbuilder.events
    union all select 'approval', run_id from flowbuilder.approvals
)
select w.what, w.run_id::text from rows w
where not exists (select from flowbuilder.runs r where r.id = w.run_id) limit 5
"""
