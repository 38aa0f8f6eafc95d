"""What cannot be cleared away costs nothing: counted, not timed."""

from __future__ import annotations

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from flowbuilder.executor.database import Database
from flowbuilder.types import JsonValue
from tests.faults.harness.arena import Arena, sized
from tests.faults.harness.lunch import at_lunch
from tests.support.engine import Engine, done, flow_of
from tests.support.one_connection import OneConnection

#: With a finishing task, so that a run comes to the queue twice.
FLOW = flow_of({"id": "a"}, output="${{ steps.a }}")
BATCH = 100
#: Entries of indexes that the server came by, those of dead rows too.
_VISITED = b"""
select coalesce(sum(idx_tup_read), 0)::bigint as n from pg_stat_user_indexes
where schemaname in ('flowbuilder', 'pgmq')
"""
_TELL = b"select pg_stat_force_next_flush()"
_FORGET = b"""
update flowbuilder.queue_gaps
set shut = '{}', empty = '{}', since = '{-infinity}', until = '{infinity}', edge = '-infinity'
"""


async def test_f39_calls_step_over_rows_that_are_dead(arena: Arena) -> None:
    """F39: beside a transaction that stays open, calls come to hardly more entries of indexes
    after thousands of tasks than before; and they would, if there were no gaps."""
    dsn = arena.server.fresh_database()
    try:
        async with (
            await Database.open(dsn, size=1) as database,
            at_lunch(dsn),
            await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row) as one,
        ):
            await Engine(database).store.tick()
            engine = Engine(OneConnection(one))  # type: ignore[arg-type]
            await _compare(arena, engine)
    finally:
        arena.server.drop(dsn)


async def _compare(arena: Arena, engine: Engine) -> None:
    for _ in range(8):  # until plans are made
        await _work(engine, runs=BATCH)
    before = await _round(engine)
    for _ in range(sized(4, 40)):
        await _work(engine, runs=2500)
        await _upkeep(engine)
    await engine.database.execute(b"vacuum analyze")  # the server may think of other plans then
    for _ in range(8):
        await _work(engine, runs=BATCH)
    await _work(engine, runs=2500)
    await _upkeep(engine)
    after = await _round(engine)
    await engine.database.execute(_FORGET)
    without = await _round(engine)
    arena.fired("task whose message is dead", sized(10_000, 100_000))
    arena.figure(entries=f"{before}>{after}", without_gaps=without)
    assert after < before + 500
    assert without > 4 * after


async def _upkeep(engine: Engine) -> None:
    """Let upkeep see what is dead, a little later."""
    await engine.database.execute(_TELL)
    await engine.jump(10)
    for _ in range(2):
        await engine.store.tick()


async def _work(engine: Engine, *, runs: int) -> None:
    """Start runs and work them off."""
    await engine.join()
    version = await engine.store.register_version(FLOW, engine.registry)
    for _ in range(runs // BATCH):
        inputs: list[JsonValue] = [None] * BATCH
        await engine.store.start_runs(version.id, inputs, timeout_seconds=36_000)
        tasks = (await engine.exchange(free=BATCH)).tasks
        while tasks:
            tasks = (await engine.exchange([done(task) for task in tasks], free=BATCH)).tasks


async def _round(engine: Engine) -> int:
    """Return how many entries one batch of work and a round of upkeep come to."""
    before = await _visited(engine)
    await _work(engine, runs=BATCH)
    await engine.store.tick()
    return await _visited(engine) - before


async def _visited(engine: Engine) -> int:
    await engine.database.execute(_TELL)
    (row,) = await engine.database.fetch_all(_VISITED)
    return int(row["n"])
