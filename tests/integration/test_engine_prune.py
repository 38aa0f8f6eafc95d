"""Retention deletes what ended long ago, and nothing that is alive or near it."""

from __future__ import annotations

import asyncio

import pytest

from flowbuilder.errors import NotFound
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Pruned
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, waiting

DAY = 86400.0
_LEFT = b"""
select (select count(*) from flowbuilder.runs) as runs,
       (select count(*) from flowbuilder.run_steps) as steps,
       (select count(*) from flowbuilder.tasks) as tasks,
       (select count(*) from flowbuilder.events) as events,
       (select count(*) from flowbuilder.approvals) as approvals,
       (select count(*) from flowbuilder.plans) as plans,
       (select count(*) from flowbuilder.flow_versions) as versions
"""
PLAN: JsonObject = {"goal": "g", "status": "ready", "planner": "rules", "flow": None}
PLANS = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)]


async def left(engine: Engine) -> dict[str, int]:
    return dict(await engine.database.fetch_one(_LEFT) or {})


async def after(engine: Engine, days: float) -> None:
    """Move on, with a new worker, because the old one was silent for so long."""
    await engine.jump(days * DAY)
    await engine.join()


async def prune(engine: Engine, days: float = 30, **options: bool | int) -> Pruned:
    return await engine.store.prune(older_than_seconds=days * DAY, **options)  # type: ignore[arg-type]


def ask(task: LeasedTask) -> Outcome:
    return waiting(task, kind="approval", approval_kind="decision", by=[], deadline_seconds=60)


async def test_what_ended_long_ago_goes_with_all_its_rows(engine: Engine) -> None:
    flow = flow_of({"id": "m", "for_each": [1, 2, 3]}, {"id": "b", "depends_on": ["m"]})
    old = [await engine.start(flow) for _ in range(3)]
    await engine.drain(done)
    asked = await engine.start(flow_of({"id": "ask"}))
    await engine.drain(ask)
    (approval,) = await engine.store.approvals()
    await engine.store.decide(approval.id, approve=False, by="user:ada")
    await after(engine, 20)
    young = await engine.start(flow)
    await engine.drain(done)
    await after(engine, 11)
    before = await left(engine)
    wanted = Pruned(runs=4, steps=7, tasks=13, events=3 * 10 + 7, approvals=1)
    assert await prune(engine, dry_run=True) == wanted
    assert await left(engine) == before
    assert await prune(engine) == wanted
    assert [run.id for run in await engine.store.list_runs()] == [young]
    assert await left(engine) == {
        "runs": 1, "steps": 2, "tasks": 4, "events": 10, "approvals": 0, "plans": 0, "versions": 3,
    }  # fmt: skip
    assert await prune(engine) == Pruned()
    for run in (*old, asked):
        with pytest.raises(NotFound):
            await engine.run(run)
    await engine.at_rest()


async def test_runs_that_are_open_stay_however_old(engine: Engine) -> None:
    flow = flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]})
    year = 400 * DAY
    queued = await engine.start(flow, timeout_seconds=year)
    paused = await engine.start(flow, timeout_seconds=year)
    await engine.store.pause_run(paused)
    sleeping = await engine.start(flow, timeout_seconds=year)
    (task,) = [t for t in (await engine.exchange()).tasks if t.run_id == sleeping]
    await engine.exchange([waiting(task, kind="time", seconds=year / 2)])
    await after(engine, 100)
    before = await left(engine)
    assert await prune(engine, 0) == Pruned()
    assert await left(engine) == before
    await engine.store.resume_run(paused)
    await engine.jump(150 * DAY)
    await engine.finish_everything()
    for run in (queued, paused, sleeping):
        assert (await engine.run(run)).status is RunStatus.COMPLETED
        await engine.trace(run)


async def test_a_run_ended_lately_stays_however_long_it_took(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}), timeout_seconds=100 * DAY)
    await after(engine, 50)
    await engine.drain(done)
    assert await prune(engine) == Pruned()
    await after(engine, 31)
    assert (await prune(engine)).runs == 1
    with pytest.raises(NotFound):
        await engine.run(run)


async def test_the_family_of_an_open_run_stays(engine: Engine) -> None:
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)

    def decide(task: LeasedTask) -> Outcome:
        if task.step_id == "call":
            return waiting(task, kind="run", version_id=child.id, flow="child", input=None)
        if task.step_id == "nap":
            return waiting(task, kind="time", seconds=80 * DAY)
        return done(task)

    parent = await engine.start(
        flow_of({"id": "call"}, {"id": "nap", "depends_on": ["call"]}), timeout_seconds=100 * DAY
    )
    lone = await engine.start(flow_of({"id": "x"}))
    for _ in range(3):
        await engine.drain(decide)
        await engine.store.tick()
    (ended,) = await engine.store.list_runs(flow="child")
    assert ended.status is RunStatus.COMPLETED
    await after(engine, 40)
    assert (await prune(engine)).runs == 1  # the one without family
    assert {run.id for run in await engine.store.list_runs()} == {parent, ended.id}
    with pytest.raises(NotFound):
        await engine.run(lone)
    await after(engine, 41)
    await engine.store.tick()
    assert (await engine.run(parent)).status is RunStatus.COMPLETED
    assert (await prune(engine)).runs == 1  # the child: its parent has ended, but only just
    assert [run.id for run in await engine.store.list_runs()] == [parent]
    await after(engine, 31)
    assert (await prune(engine)).runs == 1


async def test_an_ended_parent_stays_until_its_child_has_ended(engine: Engine) -> None:
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)
    parent = await engine.start(flow_of({"id": "call"}), timeout_seconds=100 * DAY)
    await engine.drain(
        lambda t: waiting(t, kind="run", version_id=child.id, flow="child", input=None)
    )
    await engine.store.tick()
    await engine.store.cancel_run(parent)  # the child hears of it at the next tick
    await engine.jump(40 * DAY)
    assert (await prune(engine)).runs == 0
    await engine.store.tick()
    assert (await prune(engine)).runs == 1


async def test_the_source_of_an_open_retry_stays(engine: Engine) -> None:
    flow = flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]})
    old = await engine.start(flow, timeout_seconds=100 * DAY)
    await engine.drain(lambda t: failed(t) if t.step_id == "b" else done(t))
    await after(engine, 40)
    found = await engine.store.retry_run(old)
    assert (await prune(engine)).runs == 0
    await engine.drain(done)
    assert (await prune(engine)).runs == 1
    row = await engine.run(found.run_id or "")
    assert (row.status, row.retry_of) == (RunStatus.COMPLETED, old)
    await engine.at_rest()


async def test_unsaved_graphs_go_when_no_run_uses_them(engine: Engine) -> None:
    store = engine.store
    used = await store.register_version(
        flow_of({"id": "a"}, slug="used"), engine.registry, origin="dynamic"
    )
    unused = await store.register_version(
        flow_of({"id": "a"}, slug="unused"), engine.registry, origin="dynamic"
    )
    saved = await store.register_version(flow_of({"id": "a"}, slug="saved"), engine.registry)
    run, _ = await store.start_run(used.id, None, timeout_seconds=200 * DAY)
    first, _ = await store.start_run(used.id, None, timeout_seconds=10, idempotency_key="k")
    await store.cancel_run(first.id)
    await after(engine, 40)
    found = await prune(engine)
    assert (found.runs, found.versions) == (1, 1)
    with pytest.raises(NotFound):
        await store.get_version_by_id(unused.id)
    assert (await store.get_version_by_id(saved.id)).version == 1
    assert len(await store.run_steps(run.id)) == 1  # the steps of its version are all there
    assert (await prune(engine)).versions == 0
    await engine.drain(done)
    assert (await engine.run(run.id)).status is RunStatus.COMPLETED
    await after(engine, 31)
    assert (await prune(engine, dry_run=True)).runs == 1
    assert (await prune(engine)).versions == 1
    with pytest.raises(NotFound):
        await store.get_version_by_id(used.id)
    # the same graph is made again, and its key is free
    again = await store.register_version(
        flow_of({"id": "a"}, slug="used"), engine.registry, origin="dynamic"
    )
    _, created = await store.start_run(again.id, None, timeout_seconds=10, idempotency_key="k")
    assert created


async def test_a_graph_registered_just_now_waits_for_its_run(engine: Engine) -> None:
    flow = flow_of({"id": "a"}, slug="graph")
    version = await engine.store.register_version(flow, engine.registry, origin="dynamic")
    old, _ = await engine.store.start_run(version.id, None, timeout_seconds=100)
    await engine.drain(done)
    await after(engine, 40)
    same = await engine.store.register_version(flow, engine.registry, origin="dynamic")
    assert same.id == version.id
    found = await prune(engine, 0)  # between the registration and the start of the run
    assert (found.runs, found.versions) == (1, 0)
    run, _ = await engine.store.start_run(same.id, None, timeout_seconds=100)
    await engine.drain(done)
    assert (await engine.run(run.id)).status is RunStatus.COMPLETED
    with pytest.raises(NotFound):
        await engine.run(old.id)


async def test_plans_go_when_no_run_refers_to_them(engine: Engine) -> None:
    store = engine.store
    for plan in PLANS:
        await store.save_plan({**PLAN, "id": plan})
        await store.append_plan_event(plan, "plan_completed", {})
    version = await store.register_version(flow_of({"id": "a"}), engine.registry)
    live, _ = await store.start_run(version.id, None, timeout_seconds=100 * DAY, plan_id=PLANS[0])
    ended, _ = await store.start_run(version.id, None, timeout_seconds=100, plan_id=PLANS[1])
    await store.accept_plan(PLANS[1], ended.id)
    await store.cancel_run(ended.id)
    await after(engine, 40)
    wanted = Pruned(runs=1, steps=1, tasks=1, events=1, plans=2)
    assert await prune(engine, dry_run=True) == wanted
    assert await prune(engine) == wanted
    assert [plan.id for plan in await store.list_plans()] == [PLANS[0]]
    assert len(await store.events(PLANS[0])) == 1
    assert await store.events(PLANS[1]) == []
    await store.cancel_run(live.id)


async def test_workers_that_ended_are_forgotten(engine: Engine) -> None:
    await engine.store.stop_worker(engine.worker)
    await after(engine, 40)
    assert (await prune(engine)).workers == 1
    assert [worker.id for worker in await engine.store.workers()] == [engine.worker]


async def test_many_runs_go_page_by_page(engine: Engine) -> None:
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    await engine.store.start_runs(version.id, [None] * 50, timeout_seconds=3600)
    open_ = await engine.start(flow_of({"id": "a"}), timeout_seconds=100 * DAY)
    for run in await engine.store.list_runs(limit=100):
        if run.id != open_:
            await engine.store.cancel_run(run.id)
    await after(engine, 40)
    assert (await prune(engine, page=7, dry_run=True)).runs == 50
    assert (await prune(engine, page=7)).runs == 50
    assert [run.id for run in await engine.store.list_runs()] == [open_]
    await engine.store.cancel_run(open_)


async def test_a_page_ends_after_many_events(engine: Engine) -> None:
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    await engine.store.start_runs(version.id, [None] * 4, timeout_seconds=3600)
    await engine.drain(done)
    await engine.database.execute(b"update flowbuilder.runs set last_seq = 60000")
    await after(engine, 40)
    statement = b"select flowbuilder.prune_runs(%s, flowbuilder.now(), 1000, null, false) as answer"
    first = await engine.database.fetch_one(statement, (engine.store.workspace,))
    assert first is not None
    assert first["answer"]["runs"] == 2
    assert (await prune(engine)).runs == 2


async def test_two_at_once_and_a_retry_do_not_disturb_each_other(engine: Engine) -> None:
    flow = flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]})
    version = await engine.store.register_version(flow, engine.registry)
    started = await engine.store.start_runs(version.id, [None] * 40, timeout_seconds=200 * DAY)
    await engine.drain(lambda t: failed(t) if t.step_id == "b" else done(t), rounds=1000)
    await after(engine, 40)
    ids = [run for run, _ in started.runs]

    async def retry(run: str) -> str | None:
        try:
            return (await engine.store.retry_run(run)).run_id
        except NotFound:  # it was pruned before
            return None

    first, second, *found = await asyncio.gather(
        prune(engine, page=5), prune(engine, page=5), *(retry(run) for run in ids[::2])
    )
    new = [run for run in found if run is not None]
    assert isinstance(first, Pruned)
    assert isinstance(second, Pruned)
    assert first.runs + second.runs <= len(ids) - len(new)
    rows = {run.id: run for run in await engine.store.list_runs(limit=200)}
    for run in new:
        assert rows[str(run)].retry_of in rows
    await engine.drain(done, rounds=1000)
    await engine.at_rest()
    assert {(await engine.run(str(run))).status for run in new} <= {RunStatus.COMPLETED}


async def test_pruning_while_workers_work_touches_nothing_open(engine: Engine) -> None:
    flow = flow_of(
        {"id": "a"}, {"id": "m", "for_each": [1, 2, 3], "depends_on": ["a"]},
        {"id": "b", "depends_on": ["m"]},
    )  # fmt: skip
    version = await engine.store.register_version(flow, engine.registry)
    started = await engine.store.start_runs(version.id, [None] * 120, timeout_seconds=3600)
    busy = True
    seen: list[int] = []

    async def work() -> None:
        mine = Engine(engine.database)
        await mine.join()
        seen.extend(task.task_id for task in await mine.drain(done, rounds=10_000))

    async def clean() -> int:
        count = 0
        while busy:
            count += (await prune(engine, 0, page=30)).runs
        return count

    cleaner = asyncio.create_task(clean())
    while len(seen) < 120 * 5:
        await asyncio.gather(work(), work())
    busy = False
    pruned = await cleaner + (await prune(engine, 0)).runs
    assert pruned == len(started.runs)
    assert len(set(seen)) == len(seen) == 120 * 5
    assert (await left(engine))["tasks"] == 0
    await engine.at_rest()
