"""Runs above a limit wait as queued, and are let in by themselves, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from flowbuilder.executor.diagnosis import ReasonCode
from flowbuilder.executor.records import LeasedTask
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.limits import Priority, Rate
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, waiting
from tests.support.growing import grow

STEP: JsonObject = {"id": "a"}


async def start(engine: Engine, slug: str = "test", priority: str = "normal", **rest: Any) -> str:
    terms = Terms(priority=Priority(priority))
    return await engine.start(flow_of(STEP, slug=slug), terms=terms, **rest)


async def begun(engine: Engine, runs: Sequence[str]) -> list[int]:
    """The places of those runs that are let in and not over, in the order of the list."""
    rows = await engine.database.fetch_all(
        b"select run_id from flowbuilder.admissions where state = 'admitted'"
    )
    let_in = {str(row["run_id"]) for row in rows}
    return [place for place, run in enumerate(runs) if run in let_in]


async def settle(engine: Engine) -> None:
    """Do upkeep until nothing moves any more."""
    while (await engine.store.tick()).touched:
        pass


async def code_of(engine: Engine, run: str) -> str:
    return (await engine.store.why(run)).reasons[0].code.value


async def test_no_more_runs_than_allowed_are_under_way_and_the_next_starts_by_itself(
    engine: Engine,
) -> None:
    await engine.store.set_admission(None, concurrency=2, rate=None)
    runs = [await start(engine) for _ in range(4)]
    assert await begun(engine, runs) == [0, 1]
    tasks = (await engine.exchange()).tasks
    assert [task.run_id for task in tasks] == runs[:2]
    assert [(await engine.run(run)).status.value for run in runs] == [
        "running", "running", "queued", "queued"]  # fmt: skip
    [reason, *_] = (await engine.store.why(runs[3])).reasons
    assert reason.code is ReasonCode.ADMISSION
    assert reason.message == (
        "The run waits to be let in: 2 of at most 2 runs of the workspace are under way, "
        "1 run stands before it."
    )
    answer = await engine.exchange([done(tasks[0])])
    assert answer.next_due_seconds == 0
    await settle(engine)
    assert await begun(engine, runs) == [1, 2]
    await engine.exchange([done(tasks[1])])
    await settle(engine)
    await engine.drain(done)
    await settle(engine)
    assert {(await engine.run(run)).status for run in runs} == {RunStatus.COMPLETED}
    assert await engine.trace(runs[3]) == [
        "workflow_started", "task_started a", "task_completed a", "workflow_completed",
    ]  # fmt: skip
    assert await engine.database.fetch_all(b"select run_id from flowbuilder.admissions") == []
    await engine.at_rest()


async def test_a_higher_priority_goes_first_and_then_age(engine: Engine) -> None:
    await engine.store.set_admission(None, concurrency=1, rate=None)
    classes = ["normal", "low", "normal", "high", "low", "high"]
    runs = [await start(engine, priority=name) for name in classes]
    order = []
    for _ in runs:
        await settle(engine)
        [task] = (await engine.exchange()).tasks
        order.append(runs.index(task.run_id))
        await engine.exchange([done(task)])
    assert order == [0, 3, 5, 2, 1, 4]


async def test_a_full_flow_holds_up_no_other(engine: Engine) -> None:
    await engine.store.set_admission("narrow", concurrency=1, rate=None)
    await engine.store.set_admission(None, concurrency=3, rate=None)
    names = ["narrow", "narrow", "narrow", "wide", "wide", "wide"]
    runs = [await start(engine, name) for name in names]
    assert await begun(engine, runs) == [0, 3, 4]
    told = [r.message for r in (await engine.store.why(runs[1])).reasons[:2]]
    assert any("1 of at most 1 run of the flow narrow is under way" in text for text in told)
    assert any("3 of at most 3 runs of the workspace are under way" in text for text in told)
    [of_workspace, *_] = (await engine.store.why(runs[5])).reasons
    assert of_workspace.details["limit"] == "workspace"
    (row, other) = await engine.store.admissions()
    assert (row.flow, row.running, row.waiting) == (None, 3, 3)
    assert (other.flow, other.running, other.waiting) == ("narrow", 1, 2)


async def test_a_flow_without_a_limit_waits_for_nothing(engine: Engine) -> None:
    await engine.store.set_admission("narrow", concurrency=1, rate=None)
    runs = [await start(engine, "free") for _ in range(5)]
    assert await begun(engine, runs) == []
    assert len((await engine.exchange()).tasks) == 5


async def test_a_rate_is_a_bucket_by_the_databases_clock(engine: Engine) -> None:
    await engine.store.set_admission(None, concurrency=None, rate=Rate.read("3/1m"))
    runs = [await start(engine) for _ in range(6)]
    assert await begun(engine, runs) == [0, 1, 2]
    [reason, *_] = (await engine.store.why(runs[3])).reasons
    assert "may start 3 runs in 1m, the next one in" in reason.message
    upkeep = await engine.store.tick()
    assert upkeep.next_due_seconds is not None
    assert 15 < upkeep.next_due_seconds <= 20
    await engine.jump(21)
    await settle(engine)
    assert await begun(engine, runs) == [0, 1, 2, 3]
    await engine.jump(3000)
    await settle(engine)
    assert await begun(engine, runs) == [0, 1, 2, 3, 4, 5]


async def test_what_was_under_way_when_the_limit_was_set_counts(engine: Engine) -> None:
    before = [await start(engine) for _ in range(2)]
    await engine.store.set_admission(None, concurrency=3, rate=None)
    runs = [*before, *[await start(engine) for _ in range(2)]]
    assert await begun(engine, runs) == [0, 1, 2]


async def test_a_wider_limit_and_none_let_in_what_waits(engine: Engine) -> None:
    await engine.store.set_admission(None, concurrency=1, rate=None)
    runs = [await start(engine) for _ in range(130)]
    assert runs[1:3] == await engine.store.set_admission(None, concurrency=3, rate=None)
    assert await engine.store.clear_admission(None) == runs[3:103]
    assert await engine.store.clear_admission(None) is None
    await settle(engine)
    assert len(await begun(engine, runs)) == 130
    assert len(await engine.drain(done)) == 130


@pytest.mark.parametrize("verb", ["cancel", "expire", "fail"])
async def test_a_run_that_ends_while_it_waits_makes_no_room(engine: Engine, verb: str) -> None:
    await engine.store.set_admission(None, concurrency=1, rate=None)
    first, *rest = [await start(engine, timeout_seconds=100) for _ in range(3)]
    if verb == "cancel":
        await engine.store.cancel_run(rest[0])
    elif verb == "expire":
        await engine.jump(101)
    else:
        [task] = (await engine.exchange()).tasks
        await engine.exchange([failed(task)])
    await settle(engine)
    ended = {"cancel": rest[:1], "expire": [first, *rest], "fail": [first]}[verb]
    for run in (first, *rest):
        assert (await engine.run(run)).status.terminal is (run in ended)
    if verb == "expire":
        error = (await engine.run(rest[1])).error or {}
        assert error["code"] == "deadline_exceeded"
    await engine.finish_everything()
    await engine.at_rest()


async def test_a_paused_run_keeps_its_place_and_is_not_let_in(engine: Engine) -> None:
    await engine.store.set_admission(None, concurrency=1, rate=None)
    runs = [await start(engine) for _ in range(3)]
    await engine.store.pause_run(runs[1])
    assert await code_of(engine, runs[1]) == "paused"
    [task] = (await engine.exchange()).tasks
    await engine.exchange([done(task)])
    await settle(engine)
    assert await begun(engine, runs) == [2]
    await engine.store.resume_run(runs[1])
    await settle(engine)
    assert (await engine.run(runs[1])).status is RunStatus.QUEUED
    assert await code_of(engine, runs[1]) == "admission"
    [task] = (await engine.exchange()).tasks
    await engine.exchange([done(task)])
    await settle(engine)
    assert await begun(engine, runs) == [1]
    await engine.drain(done)
    assert await engine.trace(runs[1]) == [
        "workflow_paused", "workflow_resumed", "workflow_started", "task_started a",
        "task_completed a", "workflow_completed",
    ]  # fmt: skip


async def test_a_paused_one_that_runs_out_of_time_fails(engine: Engine) -> None:
    await engine.store.set_admission(None, concurrency=1, rate=None)
    first = await start(engine)
    second = await start(engine, timeout_seconds=60)
    await engine.store.pause_run(second)
    await engine.jump(61)
    await settle(engine)
    assert (await engine.run(second)).status is RunStatus.FAILED
    assert not (await engine.run(first)).status.terminal


async def test_a_child_waits_for_no_limit_and_counts_in_none(engine: Engine) -> None:
    """Else a parent that fills the bound would wait for ever for its own child."""
    child = await engine.store.register_version(flow_of(STEP, slug="child"), engine.registry)
    for flow in (None, "child", "test"):
        await engine.store.set_admission(flow, concurrency=1, rate=Rate.read("1/1d"))
    parent = await start(engine)
    [task] = (await engine.exchange()).tasks

    def asks(task: LeasedTask) -> Any:
        return waiting(task, kind="run", version_id=child.id, flow="child", input={})

    await engine.exchange([asks(task)])
    await settle(engine)
    assert len(await engine.drain(done)) == 1
    await settle(engine)
    assert (await engine.run(parent)).status is RunStatus.COMPLETED


async def test_steps_that_are_added_meanwhile_wait_too(engine: Engine) -> None:
    await engine.store.set_admission(None, concurrency=1, rate=None)
    first = await start(engine)
    run = await start(engine)
    await grow(engine, run, {"id": "b"})
    await grow(engine, run, {"id": "c", "depends_on": ["b"]})
    await engine.consistent()
    assert (await engine.run(run)).status is RunStatus.QUEUED
    [task] = (await engine.exchange()).tasks
    assert task.run_id == first
    await engine.exchange([done(task)])
    await settle(engine)
    assert [task.step_id for task in await engine.drain(done)] == ["a", "b", "c"]
    assert (await engine.run(run)).status is RunStatus.COMPLETED


async def test_a_retry_waits_and_then_takes_over_what_was_done(engine: Engine) -> None:
    flow = flow_of(STEP, {"id": "b", "depends_on": ["a"]})
    old = await engine.start(flow)
    await engine.drain(lambda task: done(task, 0) if task.step_id == "a" else failed(task))
    await engine.store.set_admission(None, concurrency=1, rate=None)
    first = await start(engine)
    retried = await engine.store.retry_run(old)
    assert retried.run_id is not None
    assert (await engine.run(retried.run_id)).status is RunStatus.QUEUED
    await engine.store.cancel_run(first)
    await settle(engine)
    assert [task.step_id for task in await engine.drain(done)] == ["b"]
    assert await engine.trace(retried.run_id) == [
        "workflow_started", "task_completed a", "task_started b", "task_completed b",
        "workflow_completed",
    ]  # fmt: skip
    await settle(engine)
    await engine.at_rest()


async def test_a_retry_that_is_undone_while_it_waits_holds_up_nobody(engine: Engine) -> None:
    undo: JsonObject = {"tool": "other"}
    flow = flow_of({"id": "a", "compensate": undo}, {"id": "b", "depends_on": ["a"]})
    old = await engine.start(flow)
    [task] = (await engine.exchange()).tasks
    [task] = (await engine.exchange([done(task, 0)])).tasks
    await engine.store.cancel_run(old)
    await engine.store.set_admission(None, concurrency=1, rate=None)
    first = await start(engine)
    retried = await engine.store.retry_run(old, timeout_seconds=10)
    last = await start(engine)
    await engine.jump(11)
    await settle(engine)
    assert retried.run_id is not None
    assert (await engine.run(retried.run_id)).status is RunStatus.RUNNING
    tasks = await engine.drain(done)
    assert {task.run_id for task in tasks} == {first, retried.run_id}
    await settle(engine)
    assert (await engine.run(retried.run_id)).status is RunStatus.FAILED
    await engine.drain(done)
    await settle(engine)
    assert (await engine.run(last)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_a_key_gives_the_run_that_waits(engine: Engine) -> None:
    await engine.store.set_admission(None, concurrency=1, rate=None)
    await start(engine)
    waits = await start(engine, idempotency_key="k")
    assert await start(engine, idempotency_key="k") == waits
    assert await engine.database.fetch_one(b"select count(*) as n from flowbuilder.admissions") == {
        "n": 2
    }
