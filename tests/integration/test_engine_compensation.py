"""Compensation: a run that fails undoes what its steps have done, the latest step first."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.errors import InvalidTransition
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind, RunRow
from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, retry, skipped, waiting
from tests.support.growing import grow

UNDO: JsonObject = {"tool": "other"}


def undone(step: str, *before: str, **rest: Any) -> JsonObject:
    """Return a step that says how it is undone."""
    return {"id": step, "depends_on": [*before], "compensate": UNDO, **rest}


def but(*broken: str, **outputs: Any) -> Any:
    """Complete every task, but fail these."""

    def decide(task: LeasedTask) -> Outcome:
        name = task.step_id or ""
        return failed(task, f"no {name}") if name in broken else done(task, outputs.get(name, name))

    return decide


async def ended(engine: Engine, run_id: str) -> RunRow:
    await engine.at_rest()
    row = await engine.run(run_id)
    assert row.status is RunStatus.FAILED and row.error is not None
    assert (await engine.trace(run_id))[-1] == "workflow_failed"
    return row


def said(row: RunRow) -> tuple[Any, Any, Any]:
    """Return what the error says: its code, what was undone, what was not."""
    assert row.error is not None
    left: Any = row.error["not_compensated"]
    return (
        row.error["code"],
        row.error["compensated"],
        {item["step"]: item["error"]["code"] for item in left},
    )


async def test_completed_steps_are_undone_in_reverse_order_one_after_another(
    engine: Engine,
) -> None:
    run = await engine.start(
        flow_of(
            undone("a"),
            undone("b", "a"),
            {"id": "plain", "depends_on": ["b"]},
            undone("c", "plain"),
            undone("d", "c"),
            undone("e", "d"),
        )
    )
    tasks = await engine.drain(but("d"))
    assert [task.step_id for task in tasks] == [
        "a",
        "b",
        "plain",
        "c",
        "d",
        "compensate:c",
        "compensate:b",
        "compensate:a",
    ]
    assert {task.kind for task in tasks[5:]} == {"compensate"}
    row = await ended(engine, run)
    assert said(row) == ("no d", ["c", "b", "a"], {})
    assert row.error is not None
    assert (row.error["step"], row.error["attempt"]) == ("d", 1)
    trace = await engine.trace(run)
    failed_at = trace.index("task_failed d")
    assert trace[failed_at + 1 :] == [
        "workflow_compensating",
        "task_started compensate:c",
        "task_completed compensate:c",
        "task_started compensate:b",
        "task_completed compensate:b",
        "task_started compensate:a",
        "task_completed compensate:a",
        "workflow_failed",
    ]
    states = {step.step_id: step.status.value for step in await engine.store.run_steps(run)}
    assert states == {
        "a": "completed",
        "b": "completed",
        "plain": "completed",
        "c": "completed",
        "d": "failed",
        "e": "cancelled",
    }


async def test_the_order_is_that_of_completion_not_of_the_document(engine: Engine) -> None:
    run = await engine.start(flow_of(undone("a"), undone("b"), undone("c"), {"id": "d"}))
    tasks = {task.step_id: task for task in (await engine.exchange()).tasks}
    for name in "bca":
        await engine.exchange([done(tasks[name])], free=0)
    await engine.exchange([failed(tasks["d"])], free=0)
    await engine.drain(done)
    assert said(await ended(engine, run))[1] == ["a", "c", "b"]


async def test_arguments_see_the_output_of_the_step_and_of_those_before(engine: Engine) -> None:
    args: JsonObject = {"a": "${{ steps.a.id }}", "b": "${{ steps.b }}", "i": "${{ input }}"}
    step = undone("b", "a", compensate={"tool": "other", "args": args})
    run = await engine.start(flow_of({"id": "a"}, step, {"id": "c", "depends_on": ["b"]}), 0)
    tasks = await engine.drain(but("c", a={"id": 7}, b=False))
    last = tasks[-1]
    assert last.step_id == "compensate:b"
    assert (last.definition["args"], last.outputs, last.input) == (
        args,
        {"a": {"id": 7}, "b": False},
        0,
    )
    await ended(engine, run)


async def test_a_compensation_that_fails_for_good_is_told_and_the_others_go_on(
    engine: Engine,
) -> None:
    run = await engine.start(
        flow_of(undone("a"), undone("b", "a"), undone("c", "b"), {"id": "d", "depends_on": ["c"]})
    )
    await engine.drain(but("d", "compensate:b"))
    row = await ended(engine, run)
    assert said(row) == ("no d", ["c", "a"], {"b": "no compensate:b"})


async def test_a_compensation_is_retried(engine: Engine) -> None:
    step = undone("a", compensate={**UNDO, "retry": {"max_attempts": 2}})
    run = await engine.start(flow_of(step, {"id": "b", "depends_on": ["a"]}))
    seen: list[int] = []

    def decide(task: LeasedTask) -> Outcome:
        if task.kind != "compensate":
            return but("b")(task)  # type: ignore[no-any-return]
        seen.append(task.attempt)
        return retry(task, 0)

    await engine.drain(decide)
    assert seen == [1, 2]
    assert said(await ended(engine, run)) == ("no b", [], {"a": "flaky"})
    assert "task_retrying compensate:a" in await engine.trace(run)


async def test_only_what_was_done_is_undone(engine: Engine) -> None:
    """Not skipped steps, not forgiven failures, not what was still under way."""
    run = await engine.start(
        flow_of(
            undone("skipped", when="false"),
            undone("forgiven", on_error="continue"),
            undone("under_way"),
            undone("done"),
            {"id": "breaks", "depends_on": ["done"]},
        )
    )
    tasks = {task.step_id: task for task in (await engine.exchange()).tasks}
    answer = await engine.exchange(
        [skipped(tasks["skipped"]), failed(tasks["forgiven"]), done(tasks["done"])],
        held=[tasks["under_way"]],
    )
    [breaks] = answer.tasks
    answer = await engine.exchange([failed(breaks)], held=[tasks["under_way"]])
    assert answer.lost == [tasks["under_way"].key]
    await engine.drain(done)
    assert said(await ended(engine, run)) == ("boom", ["done"], {})
    late = await engine.exchange([done(tasks["under_way"])])
    assert late.verdicts == {tasks["under_way"].key: "fenced"}


async def test_a_run_without_anything_to_undo_fails_at_once(engine: Engine) -> None:
    run = await engine.start(flow_of(undone("a"), undone("b", "a")))
    await engine.drain(but("a"))
    row = await ended(engine, run)
    assert row.error is not None and "compensated" not in row.error
    assert "workflow_compensating" not in await engine.trace(run)


async def test_a_map_is_undone_once_with_all_its_outputs(engine: Engine) -> None:
    run = await engine.start(
        flow_of(
            undone("m", for_each=[1, 2], compensate={**UNDO, "args": {"all": "${{ steps.m }}"}}),
            {"id": "b", "depends_on": ["m"]},
        )
    )
    tasks = await engine.drain(but("b", m=0))
    assert [task.step_id for task in tasks] == ["m", "m", "b", "compensate:m"]
    assert tasks[-1].outputs == {"m": [0, 0]}
    assert said(await ended(engine, run))[1] == ["m"]


async def test_it_is_bounded_by_the_deadline_and_ten_minutes(engine: Engine) -> None:
    run = await engine.start(
        flow_of(undone("a"), undone("b", "a"), {"id": "c", "depends_on": ["b"]}),
        timeout_seconds=100,
    )
    await engine.drain(
        lambda task: (
            waiting(task, kind="time", seconds=10**6) if task.step_id == "c" else done(task)
        )
    )
    await engine.jump(101)
    await engine.join()
    await engine.store.tick()
    row = await engine.run(run)
    assert (row.status, row.error) == (RunStatus.RUNNING, None)
    assert row.failure is not None and row.failure["code"] == "deadline_exceeded"
    [task] = (await engine.exchange()).tasks
    assert task.step_id == "compensate:b"
    await engine.jump(500)
    await engine.store.tick()
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.jump(110)
    await engine.store.tick()
    row = await ended(engine, run)
    assert said(row) == (
        "deadline_exceeded",
        [],
        {"b": "deadline_exceeded", "a": "deadline_exceeded"},
    )
    await engine.join(worker=engine.worker)
    assert (await engine.exchange([done(task)])).verdicts == {task.key: "fenced"}


async def test_cancelling_undoes_nothing_and_ends_what_is_being_undone(engine: Engine) -> None:
    flow = flow_of(undone("a"), undone("b", "a"), {"id": "c", "depends_on": ["b"]})
    run = await engine.start(flow)
    [a] = (await engine.exchange()).tasks
    await engine.exchange([done(a)], free=0)
    await engine.store.cancel_run(run)
    assert (await engine.run(run)).status is RunStatus.CANCELLED
    other = await engine.start(flow)
    [a] = (await engine.exchange()).tasks
    [b] = (await engine.exchange([done(a)])).tasks
    [c] = (await engine.exchange([done(b)])).tasks
    await engine.exchange([failed(c)])
    await engine.store.cancel_run(other)
    assert (await engine.run(other)).status is RunStatus.CANCELLED
    assert (await engine.trace(other))[-1] == "workflow_cancelled"
    await engine.at_rest()


async def test_a_paused_run_undoes_nothing_until_it_is_resumed(engine: Engine) -> None:
    run = await engine.start(flow_of(undone("a"), {"id": "b", "depends_on": ["a"]}))
    [a] = (await engine.exchange()).tasks
    [b] = (await engine.exchange([done(a)])).tasks
    await engine.store.pause_run(run)
    await engine.exchange([failed(b)])
    assert (await engine.exchange()).tasks == []
    assert (await engine.run(run)).status is RunStatus.PAUSED
    await engine.store.resume_run(run)
    await engine.drain(done)
    assert said(await ended(engine, run))[1] == ["a"]


async def test_nothing_is_added_to_a_run_that_is_being_undone(engine: Engine) -> None:
    run = await engine.start(flow_of(undone("a"), {"id": "b", "depends_on": ["a"]}))
    [a] = (await engine.exchange()).tasks
    [b] = (await engine.exchange([done(a)])).tasks
    await engine.store.hold_run(run, owner="one", seconds=60)
    await engine.exchange([failed(b)], free=0)
    for attempt in (
        grow(engine, run, {"id": "late"}),
        engine.store.hold_run(run, owner="two", seconds=60),
    ):
        with pytest.raises(InvalidTransition, match="is being undone"):
            await attempt
    with pytest.raises(InvalidTransition):
        await engine.store.retry_run(run)
    why = await engine.store.why(run)
    assert {reason.code for reason in why.reasons} >= {"compensating", "queued"}
    [reason] = [reason for reason in why.reasons if reason.code == "compensating"]
    assert reason.message == (
        "The run has failed at step b (it went wrong) and is being undone: 0 of 1 step so far."
    )
    await engine.drain(done)
    await ended(engine, run)


async def test_a_step_that_was_added_is_undone_too(engine: Engine) -> None:
    run = await engine.start(flow_of(undone("a"), {"id": "b", "depends_on": ["a"]}))
    [a] = (await engine.exchange()).tasks
    await grow(engine, run, undone("added"))
    [added] = (await engine.exchange(held=[a])).tasks
    await engine.exchange([done(added)], free=0)
    await engine.exchange([done(a)], free=0)
    await engine.drain(but("b"))
    assert said(await ended(engine, run))[1] == ["a", "added"]


async def test_a_retry_runs_what_was_undone_again(engine: Engine) -> None:
    run = await engine.start(
        flow_of(
            {"id": "first"},
            undone("a", "first"),
            undone("b", "a"),
            {"id": "side"},
            {"id": "c", "depends_on": ["b"]},
        )
    )
    await engine.drain(but("c", "compensate:b"))
    await ended(engine, run)
    dry = await engine.store.retry_run(run, dry_run=True)
    assert dry.reused == ("first", "side")
    assert [(step.step, step.started) for step in dry.again] == [
        ("a", True),
        ("b", True),
        ("c", True),
    ]
    new = await engine.store.retry_run(run)
    await engine.drain(done)
    assert (await engine.run(str(new.run_id))).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_what_a_retry_took_over_is_undone_when_the_retry_fails(engine: Engine) -> None:
    """Its first run was cancelled, so nothing of it was undone."""
    run = await engine.start(flow_of(undone("a"), {"id": "b", "depends_on": ["a"]}))
    [a] = (await engine.exchange()).tasks
    await engine.exchange([done(a, 1)], free=0)
    await engine.store.cancel_run(run)
    new = await engine.store.retry_run(run)
    await engine.drain(but("b"))
    assert said(await ended(engine, str(new.run_id)))[1] == ["a"]


async def test_a_worker_that_dies_undoing_is_replaced(engine: Engine) -> None:
    run = await engine.start(flow_of(undone("a"), {"id": "b", "depends_on": ["a"]}))
    [a] = (await engine.exchange()).tasks
    [b] = (await engine.exchange([done(a)])).tasks
    await engine.exchange([failed(b)], free=0)
    [first] = (await engine.exchange()).tasks
    await engine.store.stop_worker(engine.worker)
    await engine.join()
    [second] = (await engine.exchange()).tasks
    assert (second.task_id, second.fence) == (first.task_id, 2)
    await engine.exchange([done(second)])
    assert said(await ended(engine, run))[1] == ["a"]


async def test_the_family_waits_until_a_run_is_undone(engine: Engine) -> None:
    child = await engine.store.register_version(
        flow_of(undone("x"), {"id": "y", "depends_on": ["x"]}, slug="child"), engine.registry
    )
    run = await engine.start(flow_of(undone("a"), {"id": "call", "depends_on": ["a"]}))

    def decide(task: LeasedTask) -> Outcome:
        if task.step_id == "call":
            return waiting(task, kind="run", version_id=child.id, flow="child", input=None)
        return but("y")(task)  # type: ignore[no-any-return]

    for _ in range(6):
        await engine.drain(decide)
        await engine.store.tick()
    row = await ended(engine, run)
    assert said(row) == ("child_failed", ["a"], {})
    rows = await engine.store.list_runs()
    inner = next(item for item in rows if item.flow == "child")
    assert said(inner) == ("no y", ["x"], {})
    ends = [(item.flow, item.finished_at) for item in (inner, row)]
    assert ends[0][1] < ends[1][1]  # type: ignore[operator]


async def test_children_are_cancelled_before_a_parent_is_undone(engine: Engine) -> None:
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)
    run = await engine.start(flow_of(undone("a"), {"id": "call"}, {"id": "b", "depends_on": ["a"]}))
    tasks = {task.step_id: task for task in (await engine.exchange()).tasks}
    wait = waiting(tasks["call"], kind="run", version_id=child.id, flow="child", input=None)
    [b] = (await engine.exchange([wait, done(tasks["a"])])).tasks
    await engine.store.tick()
    await engine.exchange([failed(b)], free=0)
    await engine.store.tick()
    [inner] = [row for row in await engine.store.list_runs() if row.flow == "child"]
    assert inner.status is RunStatus.CANCELLED
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.drain(done)
    assert said(await ended(engine, run))[1] == ["a"]


async def test_results_of_one_batch_with_a_failure_change_nothing_more(engine: Engine) -> None:
    """A map that opens, a step that is skipped: both in the exchange in which the run fails."""
    run = await engine.start(
        flow_of(
            undone("a"),
            {"id": "m", "for_each": [1, 2], "when": "true"},
            {"id": "s", "when": "false"},
            {"id": "b"},
        )
    )
    tasks = {task.step_id: task for task in (await engine.exchange()).tasks}
    await engine.exchange(
        [
            done(tasks["a"]),
            failed(tasks["b"]),
            tasks["m"].outcome(OutcomeKind.COMPLETED, output=True),
            skipped(tasks["s"]),
        ],
        free=0,
    )
    await engine.consistent()
    await engine.drain(done)
    assert said(await ended(engine, run))[1] == ["a"]
