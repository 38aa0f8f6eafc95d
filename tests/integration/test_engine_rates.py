"""Rates: no span of time has more starts than it may; and what tools declare as their limits."""

from __future__ import annotations

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.limits import Rate
from tests.support.engine import Engine, done, flow_of, plain_registry, retry
from tests.support.limiting import TOOLS, exchange, limit, many, take


@pytest.fixture
async def engine(database: Database) -> Engine:
    engine = Engine(database, plain_registry(*TOOLS))
    await engine.join()
    return engine


# -- rates ----------------------------------------------------------------------------------


async def test_no_span_of_time_has_more_starts_than_the_rate(engine: Engine) -> None:
    await limit(engine, "work", rate="3/10s")
    await engine.start(flow_of(many(10)))
    starts: list[float] = []
    clock = 0.0
    for _ in range(40):
        await engine.store.tick()
        tasks = await take(engine)
        starts += [clock] * len(tasks)
        await take(engine, [done(task) for task in tasks], free=0)
        await engine.jump(1.3)
        clock += 1.3
        await engine.join()
    assert len(starts) == 10
    for start in starts:
        assert sum(start <= other < start + 10 for other in starts) <= 3
    await engine.at_rest()


async def test_a_rate_wakes_by_itself_and_says_when(engine: Engine) -> None:
    await limit(engine, "work", rate="2/1m")
    run = await engine.start(flow_of(many(5)))
    tasks = await take(engine)
    assert len(tasks) == 2
    answer = await exchange(engine)
    assert answer.next_due_seconds is not None
    assert 50 < answer.next_due_seconds <= 60
    upkeep = await engine.store.tick()
    assert upkeep.next_due_seconds is not None
    assert 50 < upkeep.next_due_seconds <= 60
    reasons = {reason.code.value: reason for reason in (await engine.store.why(run)).reasons}
    reason = reasons["limit_reached"]
    assert (reason.details["rate_count"], reason.details["waiting"]) == (2, 3)
    assert reason.until is not None
    assert "2 starts in 60s are used up, the next one is in" in reason.message
    await take(engine, [done(task) for task in tasks], free=0)
    assert await take(engine) == []
    await engine.jump(60)
    await engine.join()
    assert len(await take(engine)) == 2  # without upkeep
    (row,) = await engine.store.limits()
    assert (row.pattern, row.rate, row.waiting) == ("work", Rate(count=2, per=60), 1)
    assert row.next_at is not None


async def test_a_fine_rate_is_kept_in_a_short_list(engine: Engine) -> None:
    await limit(engine, "work", rate="200/1s")
    await engine.start(flow_of(many(700)))
    started = 0
    for _ in range(60):
        tasks = await take(engine, free=20)
        started += len(tasks)
        await take(engine, [done(task) for task in tasks], free=0)
        await engine.jump(0.05)
        await engine.store.tick()
        row = await engine.database.fetch_one(
            b"select cardinality(granted_at) as n from flowbuilder.limit_slots"
        )
        assert row is not None
        assert row["n"] <= 66
        (limits,) = await engine.store.limits()
        assert limits.running == 0
    assert started >= 500
    await engine.consistent()


async def test_a_retry_is_a_start_of_its_own(engine: Engine) -> None:
    await limit(engine, "work", rate="2/1m")
    await engine.start(flow_of({"id": "a", "retry": {"max_attempts": 5}}))
    (task,) = await take(engine)
    (task,) = await take(engine, [retry(task)]) or await take(engine)
    await take(engine, [retry(task)])
    assert await take(engine) == []
    await engine.jump(61)
    await engine.join()
    (task,) = await take(engine)
    assert task.attempt == 3


# -- what tools declare ---------------------------------------------------------------------


async def test_what_tools_declare_counts_until_an_administrator_speaks(engine: Engine) -> None:
    names = engine.registry.refs()
    await engine.store.declare_limits(names, {"work": (1, None), "other": (None, Rate(count=5))})
    await engine.store.declare_limits(names, {"work": (1, None)})
    (row,) = await engine.store.limits()
    assert (row.pattern, row.source, row.concurrency) == ("work", "tool", 1)
    await engine.start(flow_of(many(5)))
    assert len(await take(engine)) == 1
    await limit(engine, "work")  # lifts it
    assert len(await take(engine)) == 4
    await engine.store.clear_limit("work")
    (row,) = await engine.store.limits()
    assert (row.source, row.concurrency, row.running) == ("tool", 1, 5)
    await engine.store.declare_limits(names, {})
    assert await engine.store.limits() == []


async def test_slots_that_nobody_uses_are_forgotten(engine: Engine) -> None:
    flow = flow_of({"id": "a", "limit": {"key": "${{ input }}", "rate": "1/2h"}})
    for number in range(5):
        await engine.start(flow, number)
    await engine.drain(done)
    counted = b"select count(*) as n from flowbuilder.limit_slots"
    await engine.jump(3700)
    await engine.store.tick()
    assert await engine.database.fetch_one(counted) == {"n": 5}
    await engine.jump(8000)
    await engine.store.tick()
    assert await engine.database.fetch_one(counted) == {"n": 0}
