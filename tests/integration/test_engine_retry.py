"""A retry takes over what an ended run finished and runs the rest again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from flowbuilder.errors import Conflict, InvalidTransition, InvalidValue, NotFound
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.retrying import Retried
from flowbuilder.executor.states import RunStatus, StepStatus
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import (
    Decide,
    Engine,
    done,
    failed,
    flow_of,
    plain_registry,
    skipped,
    waiting,
)
from tests.support.still_clock import STILL


def failing(*steps: str) -> Decide:
    """Fail these steps, complete the others with their own name."""
    return lambda task: failed(task) if task.step_id in steps else done(task, task.step_id)


def seen(tasks: list[LeasedTask]) -> list[str | None]:
    return [task.step_id for task in tasks]


CHAIN = flow_of(
    {"id": "a"},
    {"id": "b", "depends_on": ["a"], "args": {"from": "${{ steps.a }}"}},
    {"id": "c", "depends_on": ["b"]},
    {"id": "side"},
    output={"b": "${{ steps.b }}", "side": "${{ steps.side }}"},
)


async def retried(engine: Engine, run: str, step: str | None = None) -> Retried:
    found = await engine.store.retry_run(run, from_step=step)
    assert found.created
    assert found.run_id is not None
    await engine.consistent()
    return found


async def test_what_finished_is_taken_over_and_the_rest_runs(engine: Engine) -> None:
    old = await engine.start(CHAIN, {"n": 0}, timeout_seconds=500)
    await engine.drain(failing("c"))
    found = await retried(engine, old)
    new = found.run_id or ""
    assert found.reused == ("a", "b", "side")
    assert [(s.step, s.status, s.started) for s in found.again] == [("c", StepStatus.FAILED, True)]
    row, before = await engine.run(new), await engine.run(old)
    assert (row.retry_of, row.retry_from, row.input) == (old, None, {"n": 0})
    assert (row.version_id, row.status) == (before.version_id, RunStatus.RUNNING)
    assert row.deadline_at - row.created_at == before.deadline_at - before.created_at
    tasks = await engine.drain(failing())
    assert seen(tasks) == ["c", None]
    assert tasks[1].outputs == {"b": "b", "side": "side"}
    assert (await engine.run(new)).status is RunStatus.COMPLETED
    assert (await engine.run(old)).status is RunStatus.FAILED
    await engine.at_rest()


async def test_taken_over_results_have_events_before_anything_starts(engine: Engine) -> None:
    old = await engine.start(CHAIN)
    await engine.drain(failing("c"))
    new = (await retried(engine, old)).run_id or ""
    await engine.drain(failing())
    trace = await engine.trace(new)
    assert trace[0] == "workflow_started"
    assert sorted(trace[1:4]) == ["task_completed a", "task_completed b", "task_completed side"]
    assert trace.index("task_completed a") < trace.index("task_completed b")
    assert trace[4:] == ["task_started c", "task_completed c", "workflow_completed"]
    events = await engine.store.events(new)
    (taken,) = [event for event in events if event.step_name == "b"]
    assert (taken.data["reused_from"], taken.data["result"], taken.task_id) == (old, "b", None)
    (ran,) = [e for e in events if e.type == "task_completed" and e.step_name == "c"]
    assert "reused_from" not in ran.data


async def test_from_a_step_on_all_behind_it_runs_again(engine: Engine) -> None:
    old = await engine.start(CHAIN)
    await engine.drain(failing())
    found = await retried(engine, old, "b")
    assert found.reused == ("a", "side")
    assert [step.step for step in found.again] == ["b", "c"]
    tasks = await engine.drain(failing())
    assert seen(tasks) == ["b", "c", None]
    assert tasks[0].outputs == {"a": "a"}
    row = await engine.run(found.run_id or "")
    assert (row.status, row.retry_from) == (RunStatus.COMPLETED, "b")
    await engine.at_rest()


async def test_besides_the_step_what_has_no_result_runs_too(engine: Engine) -> None:
    old = await engine.start(CHAIN)
    await engine.drain(failing("c"))
    found = await retried(engine, old, "side")
    assert [(s.step, s.started) for s in found.again] == [("c", True), ("side", True)]
    assert sorted(map(str, seen(await engine.drain(failing())))) == ["None", "c", "side"]


async def test_a_retry_of_a_retry_takes_over_from_both(engine: Engine) -> None:
    old = await engine.start(CHAIN)
    await engine.drain(failing("b"))
    second = (await retried(engine, old)).run_id or ""
    await engine.drain(failing("c"))
    found = await retried(engine, second)
    assert found.reused == ("a", "b", "side")
    trace = await engine.trace(found.run_id or "")
    assert trace.index("task_completed a") < trace.index("task_completed b")
    assert seen(await engine.drain(failing())) == ["c", None]
    assert (await engine.run(found.run_id or "")).status is RunStatus.COMPLETED
    again = await retried(engine, second, "a")
    assert [(s.step, s.started) for s in again.again] == [("a", True), ("b", True), ("c", True)]
    await engine.drain(failing())
    await engine.at_rest()


async def test_a_retry_has_as_long_as_the_old_run_had_without_its_time_for_undoing(
    engine: Engine,
) -> None:
    await engine.database.execute(STILL.encode())
    step: JsonObject = {"id": "a", "compensate": {"tool": "other"}}
    run = await engine.start(flow_of(step, {"id": "b", "depends_on": ["a"]}), timeout_seconds=100)
    await engine.drain(lambda task: failed(task) if task.step_id == "b" else done(task))
    await engine.jump(50)
    again = await engine.run(str((await retried(engine, run)).run_id))
    assert again.deadline_at - again.created_at == timedelta(seconds=100)


async def test_a_cancelled_run_knows_what_it_had_started(engine: Engine) -> None:
    old = await engine.start(flow_of({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["b"]}))
    await engine.exchange(free=1)
    await engine.store.cancel_run(old)
    found = await retried(engine, old)
    assert [(s.step, s.started) for s in found.again] == [("a", True), ("b", False), ("c", False)]
    assert (await engine.run(found.run_id or "")).status is RunStatus.QUEUED
    await engine.drain(done)
    await engine.at_rest()


@pytest.mark.parametrize("value", [0, False, "", None, [], {"b": 1, "a": 2}])
async def test_values_survive_being_taken_over(engine: Engine, value: JsonValue) -> None:
    old = await engine.start(flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}), value)
    await engine.drain(lambda t: done(t, value) if t.step_id == "a" else failed(t))
    new = (await retried(engine, old)).run_id or ""
    steps = await engine.store.run_steps(new)
    assert (steps[0].output, (await engine.run(new)).input) == (value, value)


async def test_maps_skips_and_forgiven_failures_are_taken_over(engine: Engine) -> None:
    flow = flow_of(
        {"id": "m", "for_each": "${{ input }}", "on_error": "continue"},
        {"id": "none", "for_each": [], "depends_on": ["m"]},
        {"id": "no", "when": "false"},
        {"id": "after", "depends_on": ["no"]},
        {"id": "forgiven", "on_error": "continue"},
        {"id": "skips", "on_error": "skip"},
        {"id": "each", "for_each": "${{ steps.m }}", "args": {"x": "${{ item }}"}},
        {"id": "last", "depends_on": ["forgiven", "none", "each"],
         "args": {"m": "${{ steps.m }}", "f": "${{ steps.forgiven }}"}},
    )  # fmt: skip

    def decide(task: LeasedTask) -> Outcome:
        if task.step_id == "no":
            return skipped(task)
        if task.step_id in ("forgiven", "skips", "last") or task.index == 1:
            return failed(task)
        return done(task, task.index)

    old = await engine.start(flow, [7, 8, 9])
    await engine.drain(decide)
    found = await retried(engine, old)
    assert [step.step for step in found.again] == ["each", "last"]
    steps = {step.step_id: step for step in await engine.store.run_steps(found.run_id or "")}
    assert steps["m"].output == [0, None, 2]
    assert steps["none"].output == []
    assert (steps["no"].status, steps["no"].skip_reason) == (StepStatus.SKIPPED, "condition")
    assert (steps["after"].status, steps["after"].skip_reason) == (
        StepStatus.SKIPPED,
        "dependency",
    )
    assert (steps["skips"].status, steps["skips"].skip_reason) == (StepStatus.SKIPPED, "error")
    (last,) = [t for t in await engine.drain(done) if t.step_id == "last"]
    assert last.outputs == {"m": [0, None, 2], "forgiven": None}
    assert last.skipped == ["forgiven"]
    reasons = [
        event.data["reason"]
        for event in await engine.store.events(found.run_id or "")
        if event.type == "task_skipped"
    ]
    assert sorted(map(str, reasons)) == ["condition", "dependency", "error"]
    await engine.at_rest()


async def test_maps_and_conditions_run_again(engine: Engine) -> None:
    flow = flow_of(
        {"id": "list"},
        {"id": "m", "for_each": "${{ steps.list }}", "when": "true", "concurrency": 1},
        {"id": "plain", "for_each": "${{ steps.list }}"},
        {"id": "own", "for_each": [1, 2]},
    )
    old = await engine.start(flow)
    await engine.drain(lambda t: done(t, [1, 2]) if t.step_id == "list" else failed(t))
    found = await retried(engine, old)
    assert found.reused == ("list",)
    await engine.drain(lambda t: done(t, t.item))
    row = await engine.run(found.run_id or "")
    assert row.output == {"m": [1, 2], "plain": [1, 2], "own": [1, 2]}
    await engine.at_rest()


async def test_trigger_rules_judge_what_was_taken_over(engine: Engine) -> None:
    flow = flow_of(
        {"id": "good"},
        {"id": "bad"},
        {"id": "no", "when": "false"},
        {"id": "first", "depends_on": ["good", "bad"], "trigger_rule": "one_success"},
        {"id": "barred", "depends_on": ["no", "bad"]},
        {"id": "any", "depends_on": ["no", "bad"], "trigger_rule": "all_done"},
    )

    def decide(task: LeasedTask) -> Outcome:
        return skipped(task) if task.step_id == "no" else failing("bad")(task)

    old = await engine.start(flow)
    tasks = {task.step_id: task for task in (await engine.exchange()).tasks}
    await engine.exchange([decide(tasks["good"]), decide(tasks["no"])], held=[tasks["bad"]])
    await engine.exchange([decide(tasks["bad"])], free=0)
    assert (await engine.run(old)).status is RunStatus.FAILED
    found = await retried(engine, old)
    started = seen((await engine.exchange(free=10)).tasks)
    assert sorted(map(str, started)) == ["bad", "first"]  # the success was there before
    await engine.join()
    await engine.store.cancel_run(found.run_id or "")
    again = await retried(engine, found.run_id or "")
    await engine.drain(failing())
    steps = {s.step_id: s.status for s in await engine.store.run_steps(again.run_id or "")}
    assert steps.pop("no") == steps.pop("barred") == StepStatus.SKIPPED
    assert set(steps.values()) == {StepStatus.COMPLETED}
    await engine.at_rest()


async def test_when_only_the_output_failed_it_is_resolved_again(engine: Engine) -> None:
    old = await engine.start(flow_of({"id": "a"}, output="${{ steps.a.x }}"))
    await engine.drain(lambda t: failed(t) if t.step_id is None else done(t, {"x": 0}))
    found = await retried(engine, old)
    assert (found.reused, found.again) == (("a",), ())
    await engine.drain(lambda t: done(t, t.outputs["a"]["x"]))  # type: ignore[index, call-overload]
    assert (await engine.run(found.run_id or "")).output == 0
    await engine.at_rest()


async def test_an_approval_is_asked_for_anew(engine: Engine) -> None:
    def gate(task: LeasedTask) -> Outcome:
        if task.approved:
            return failed(task)
        return waiting(
            task, kind="approval", approval_kind="gate", args={}, by=[], deadline_seconds=60
        )

    old = await engine.start(flow_of({"id": "send"}))
    await engine.drain(gate)
    (approval,) = await engine.store.approvals()
    await engine.store.decide(approval.id, approve=True, by="user:ada")
    await engine.drain(gate)
    await retried(engine, old)
    (task,) = await engine.drain(gate)
    assert not task.approved
    assert len(await engine.store.approvals()) == 1


async def test_what_cannot_be_retried_says_why(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    with pytest.raises(InvalidTransition) as still:
        await engine.store.retry_run(run)
    assert still.value.code == "run_still_open"
    await engine.drain(done)
    with pytest.raises(Conflict) as nothing:
        await engine.store.retry_run(run)
    assert nothing.value.code == "nothing_to_retry"
    with pytest.raises(InvalidValue) as unknown:
        await engine.store.retry_run(run, from_step="nope")
    assert (unknown.value.code, unknown.value.pointer) == ("step_unknown", "/from_step")
    with pytest.raises(NotFound):
        await engine.store.retry_run("nonsense")
    with pytest.raises(InvalidValue) as surrogate:
        await engine.store.retry_run(run, from_step="\ud800")
    assert surrogate.value.code == "value_refused"


async def test_a_dry_run_starts_nothing(engine: Engine) -> None:
    old = await engine.start(CHAIN)
    await engine.drain(failing("c"))
    found = await engine.store.retry_run(old, dry_run=True)
    assert (found.run_id, found.created, found.reused) == (None, False, ("a", "b", "side"))
    assert len(await engine.store.list_runs()) == 1


async def test_the_same_key_gives_the_same_retry(engine: Engine) -> None:
    old = await engine.start(CHAIN)
    await engine.drain(failing("c"))
    found = await asyncio.gather(
        *(engine.store.retry_run(old, idempotency_key="again") for _ in range(8))
    )
    assert len({item.run_id for item in found}) == 1
    assert sum(item.created for item in found) == 1
    assert {item.reused for item in found} == {("a", "b", "side")}
    with pytest.raises(Conflict) as refused:
        await engine.store.retry_run(old, from_step="a", idempotency_key="again")
    assert refused.value.code == "idempotency_mismatch"
    version = (await engine.run(old)).version_id
    other = await engine.start(flow_of({"id": "a"}, slug="other"))
    await engine.drain(failing("a"))
    ended: Sequence[object] = await asyncio.gather(
        engine.store.retry_run(old, idempotency_key="both"),
        engine.store.retry_run(other, idempotency_key="both"),
        engine.store.start_run(version, 1, timeout_seconds=9, idempotency_key="both"),
        return_exceptions=True,
    )
    refusals = [item for item in ended if isinstance(item, Conflict)]
    assert [item.code for item in refusals] == ["idempotency_mismatch"] * 2
    await engine.drain(failing())
    await engine.at_rest()


async def test_a_function_whose_process_is_gone_cannot_be_retried(database: Database) -> None:
    engine = Engine(database, plain_registry("function.w1.a", "work"))
    owner = await engine.join()
    flow = flow_of({"id": "a", "tool": "function.w1.a"}, {"id": "b", "depends_on": ["a"]})
    version = await engine.store.register_version(
        flow, engine.registry, origin="dynamic", owner=owner
    )
    run, _ = await engine.store.start_run(version.id, None, timeout_seconds=1000)
    await engine.drain(failing("b"))
    await engine.store.stop_worker(owner)
    await engine.join()
    await retried(engine, run.id)  # only b runs again, which any worker can do
    with pytest.raises(Conflict) as refused:
        await engine.store.retry_run(run.id, from_step="a")
    assert refused.value.code == "function_gone"
