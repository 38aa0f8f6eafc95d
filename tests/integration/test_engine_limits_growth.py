"""Limits and priorities where runs grow, are undone, are held, or lose their functions."""

from __future__ import annotations

import pytest

from flowbuilder.errors import Conflict
from flowbuilder.executor.database import Database
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.limits import Priority
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, plain_registry
from tests.support.growing import grow
from tests.support.limiting import TOOLS, exchange, limit, many, recount, take

UNDONE: JsonObject = {"id": "a", "compensate": {"tool": "mail.send"}}


@pytest.fixture
async def engine(database: Database) -> Engine:
    engine = Engine(database, plain_registry(*TOOLS))
    await engine.join()
    return engine


async def test_steps_keep_their_limits_in_a_run_that_grows(engine: Engine) -> None:
    one_at_once: JsonObject = {"concurrency": 1}
    run = await engine.start(
        flow_of({"id": "a"}, many(3, depends_on=["a"], limit=one_at_once), slug="grown")
    )
    [a] = await take(engine)
    for name in ("x", "y"):
        await grow(engine, run, {"id": name, "depends_on": ["a"], "limit": one_at_once})
    tasks = await take(engine, [done(a)])
    tasks += await take(engine)  # maps open behind the claim
    assert sorted(task.step_id or "" for task in tasks) == ["m", "x", "y"]
    await recount(engine)
    other = await engine.start(flow_of({"id": "x", "limit": one_at_once}, slug="grown"))
    assert await take(engine) == []  # the step of that name in the other run has the place
    (following,) = await take(engine, [done(t) for t in tasks if t.step_id == "x"])
    assert (following.run_id, following.step_id) == (other, "x")
    await engine.drain(done)
    await engine.at_rest()


async def test_a_limited_step_may_be_added_to_a_run(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    [a] = await take(engine)
    key = "${{ item }}"
    step: JsonObject = {"id": "m", "for_each": [1, 1, 2], "limit": {"key": key, "concurrency": 1}}
    await grow(engine, run, step)
    tasks = await take(engine, [done(a)])
    assert [task.item for task in tasks] == [1, 2]
    await recount(engine)
    (last,) = await take(engine, [done(task) for task in tasks])
    await take(engine, [done(last)])
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_compensations_take_places_as_steps_do(engine: Engine) -> None:
    await limit(engine, "mail.send", concurrency=1)
    flow = flow_of(UNDONE, {"id": "b", "depends_on": ["a"]})
    runs = [await engine.start(flow) for _ in range(2)]
    seconds = await take(engine, [done(task) for task in await take(engine)])
    first = await take(engine, [failed(task) for task in seconds])
    first += await take(engine)
    assert [task.step_id for task in first] == ["compensate:a"]
    await recount(engine)
    assert (await engine.store.queue_depth())["blocked"] == 1
    assert (await exchange(engine, [done(first[0])])).ready
    (second,) = await take(engine)
    assert {first[0].run_id, second.run_id} == set(runs)
    await take(engine, [done(second)])
    assert (await engine.store.queue_depth())["blocked"] == 0
    for run in runs:
        assert (await engine.run(run)).status is RunStatus.FAILED
    await recount(engine)
    await engine.at_rest()


async def test_a_compensation_under_way_counts_when_its_limit_is_set(engine: Engine) -> None:
    await engine.start(flow_of(UNDONE, {"id": "b", "depends_on": ["a"]}))
    (b,) = await take(engine, [done(task) for task in await take(engine)])
    await exchange(engine, [failed(b)])
    (undoing,) = await take(engine)
    await limit(engine, "mail.*", concurrency=1)
    (row,) = await engine.store.limits()
    assert (undoing.step_id, row.running) == ("compensate:a", 1)
    await engine.drain(done)
    await engine.at_rest()


async def test_a_run_that_is_held_from_its_start_has_terms(engine: Engine) -> None:
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    terms = Terms(priority=Priority.HIGH, max_open_runs=1)

    async def start(terms: Terms) -> str:
        run, _ = await engine.store.start_held_run(
            version.id, 0, owner="x", hold_seconds=60, timeout_seconds=600, terms=terms
        )
        return run

    run = await start(terms)
    with pytest.raises(Conflict) as refused:
        await start(terms)
    assert refused.value.code == "too_many_runs"
    assert (await engine.run(run)).priority is Priority.HIGH
    await start(Terms(priority=Priority.LOW))
    await engine.start(flow_of({"id": "b"}))
    assert [task.step_id for task in await take(engine, free=2)] == ["a", "b"]


async def test_the_queue_is_as_old_as_its_oldest_task_whatever_its_class(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}), terms=Terms(priority=Priority.LOW))
    await engine.jump(100)
    await engine.start(flow_of({"id": "a"}), terms=Terms(priority=Priority.HIGH))
    await engine.jump(20)
    depth = await engine.store.queue_depth()
    assert (depth["queued"], depth["blocked"]) == (2, 0)
    assert depth["oldest_seconds"] == pytest.approx(120, abs=15)


async def test_what_waits_for_a_place_fails_with_the_process_of_its_function(
    engine: Engine,
) -> None:
    registry = plain_registry("function.f")
    await limit(engine, "function.f", concurrency=1)
    await engine.join(worker=engine.worker, tools=registry.refs())
    flow = flow_of({"id": "m", "tool": "function.f", "for_each": [1, 2], "on_error": "continue"})
    version = await engine.store.register_version(
        flow, registry, origin="dynamic", owner=engine.worker
    )
    run, _ = await engine.store.start_run(version.id, None, timeout_seconds=3600)
    assert len(await take(engine)) == 1
    assert (await engine.store.queue_depth())["blocked"] == 1
    await engine.store.stop_worker(engine.worker)
    await engine.store.tick()
    assert (await engine.run(run.id)).status is RunStatus.COMPLETED
    assert (await engine.store.queue_depth())["blocked"] == 0
    await recount(engine)
    await engine.at_rest()


async def test_what_a_limit_keeps_back_is_neither_delayed_nor_waiting(engine: Engine) -> None:
    await limit(engine, "work", concurrency=1)
    run = await engine.start(flow_of(many(3)))

    async def counted() -> list[object]:
        depth = await engine.store.queue_depth()
        return [depth[name] for name in ("queued", "blocked", "delayed", "waiting", "running")]

    (task,) = await take(engine)
    assert await counted() == [0, 2, 0, 0, 1]
    seconds = (await engine.store.tick()).next_due_seconds
    assert seconds is None or seconds > 60  # upkeep is not due for what waits for a place

    (task,) = (await exchange(engine, [done(task)])).tasks
    assert await counted() == [0, 1, 0, 0, 1]
    await engine.drain(done)
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()
