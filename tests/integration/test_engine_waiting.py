"""Tasks that wait: approvals, sleeps, child runs. They hold no worker, lease or message."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from flowbuilder.errors import Conflict, FlowBuilderError, InvalidValue
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import ApprovalStatus, RunStatus
from flowbuilder.types import JsonValue
from tests.support.engine import Engine, done, failed, flow_of, waiting


def gate(task: LeasedTask, **more: JsonValue) -> Outcome:
    if task.approved:
        return done(task, {"args": task.args})
    asked: dict[str, JsonValue] = {
        "kind": "approval",
        "approval_kind": "gate",
        "args": {"to": "bob"},
        "args_hash": "abc",
        "message": "Send it?",
        "by": ["user:ada"],
        "deadline_seconds": 60,
        "on_deadline": "reject",
    }
    return waiting(task, **{**asked, **more})


async def test_an_approved_step_runs_with_exactly_the_arguments_shown(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "send"}))
    await engine.drain(gate)
    assert await engine.store.queue_depth() == {
        "queued": 0,
        "delayed": 0,
        "running": 0,
        "blocked": 0,
        "waiting": 1,
        "messages": 0,
        "oldest_seconds": None,
        "approvals": 1,
        "workers": 1,
    }
    (approval,) = await engine.store.approvals()
    assert (approval.args, approval.by, approval.message) == (
        {"to": "bob"},
        ["user:ada"],
        "Send it?",
    )
    await engine.store.decide(approval.id, approve=True, by="user:ada", comment="fine")
    await engine.drain(gate)
    assert (await engine.run(run)).output == {"send": {"args": {"to": "bob"}}}
    assert await engine.trace(run) == [
        "workflow_started",
        "task_started send",
        "task_waiting send",
        "approval_requested send",
        "approval_decided send",
        "task_started send",
        "task_completed send",
        "workflow_completed",
    ]
    await engine.at_rest()


async def test_the_second_decision_is_refused_and_says_who_decided(engine: Engine) -> None:
    await engine.start(flow_of({"id": "send"}))
    await engine.drain(partial(gate, by=[]))
    (approval,) = await engine.store.approvals()
    decisions = await asyncio.gather(
        *(
            engine.store.decide(approval.id, approve=number % 2 == 0, by=f"user:{number}")
            for number in range(8)
        ),
        return_exceptions=True,
    )
    won = [item for item in decisions if not isinstance(item, BaseException)]
    lost = [item for item in decisions if isinstance(item, Conflict)]
    assert (len(won), len(lost)) == (1, 7)
    assert {item.code for item in lost} == {"already_decided"}
    assert {item.details["decided_by"] for item in lost} == {won[0].decided_by}


async def test_a_decision_about_other_arguments_is_refused(engine: Engine) -> None:
    await engine.start(flow_of({"id": "send"}))
    await engine.drain(gate)
    (approval,) = await engine.store.approvals()
    with pytest.raises(Conflict) as refused:
        await engine.store.decide(approval.id, approve=True, by="user:ada", args_hash="other")
    assert refused.value.code == "arguments_changed"


async def test_edited_arguments_replace_those_asked_about(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "send"}))
    await engine.drain(gate)
    (approval,) = await engine.store.approvals()
    await engine.store.decide(approval.id, approve=True, by="user:ada", value={"to": "eve"})
    await engine.drain(gate)
    assert (await engine.run(run)).output == {"send": {"args": {"to": "eve"}}}


async def test_a_rejection_fails_the_step(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "send"}))
    await engine.drain(gate)
    (approval,) = await engine.store.approvals()
    await engine.store.decide(approval.id, approve=False, by="user:ada", comment="no")
    row = await engine.run(run)
    assert row.error is not None
    assert row.error["code"] == "approval_rejected"
    assert "user:ada" in str(row.error["message"])
    await engine.at_rest()


@pytest.mark.parametrize(
    ("on_deadline", "status"), [("reject", RunStatus.FAILED), ("approve", RunStatus.COMPLETED)]
)
async def test_an_unanswered_approval_follows_its_deadline(
    engine: Engine, on_deadline: str, status: RunStatus
) -> None:
    run = await engine.start(flow_of({"id": "send"}))
    await engine.drain(lambda task: gate(task, on_deadline=on_deadline))
    await engine.jump(61)
    await engine.exchange(free=0)
    await engine.store.tick()
    await engine.drain(gate)
    assert (await engine.run(run)).status is status
    (approval,) = await engine.store.approvals(status=None)
    assert approval.status is ApprovalStatus.EXPIRED
    assert "approval_expired send" in await engine.trace(run)


async def test_cancelling_a_run_closes_its_approvals(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "send"}))
    await engine.drain(gate)
    (approval,) = await engine.store.approvals()
    await engine.store.cancel_run(run)
    with pytest.raises(Conflict) as refused:
        await engine.store.decide(approval.id, approve=True, by="user:ada")
    assert refused.value.details["status"] == "cancelled"


@pytest.mark.parametrize("value", [0, False, "", None, {"size": "L"}])
async def test_an_input_completes_the_step_with_the_value_given(
    engine: Engine, value: JsonValue
) -> None:
    run = await engine.start(flow_of({"id": "ask"}))
    await engine.drain(
        lambda t: waiting(t, kind="approval", approval_kind="input", schema={}, message="Size?")
    )
    (approval,) = await engine.store.approvals()
    await engine.store.decide(approval.id, approve=True, by="user:ada", value=value, has_value=True)
    assert (await engine.run(run)).output == {"ask": value}


async def test_a_sleep_ends_when_its_time_has_come(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "nap"}))
    await engine.drain(lambda t: waiting(t, kind="time", seconds=3000))
    await engine.jump(2900)
    assert not (await engine.store.tick()).ready
    await engine.jump(101)
    await engine.store.tick()
    assert (await engine.run(run)).status is RunStatus.COMPLETED


async def test_what_time_has_ended_is_told_although_the_outbox_fails(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "nap"}))
    await engine.drain(lambda t: waiting(t, kind="time", seconds=3000))
    await engine.database.execute(
        b"insert into flowbuilder.outbox (kind, run_id, payload, created_at) "
        b"values ('await_event', gen_random_uuid(), '\"no list\"', now())"
    )
    await engine.jump(3001)
    assert (await engine.store.tick()).touched == [run]
    with pytest.raises(FlowBuilderError):  # the row stays, and is told of once nothing else is
        await engine.store.tick()


@pytest.mark.parametrize("wait", [{"kind": "time"}, {"kind": "luck"}, {}])
async def test_a_wait_that_would_never_end_is_refused(
    engine: Engine, wait: dict[str, JsonValue]
) -> None:
    await engine.start(flow_of({"id": "nap"}))
    (task,) = (await engine.exchange()).tasks
    with pytest.raises(InvalidValue) as refused:
        await engine.exchange([waiting(task, **wait)])
    assert refused.value.code == "bad_wait"
    await engine.exchange([done(task)])
    await engine.at_rest()


async def test_a_finishing_task_cannot_wait(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}, output="${{ steps.a }}"))
    (task,) = (await engine.exchange()).tasks
    (finish,) = (await engine.exchange([done(task)])).tasks
    with pytest.raises(InvalidValue):
        await engine.exchange([waiting(finish, kind="time", seconds=1)])
    await engine.exchange([done(finish)])
    await engine.at_rest()


async def _child_of(engine: Engine) -> str:
    child = await engine.store.register_version(
        flow_of({"id": "x"}, slug="child", output="${{ steps.x }}"), engine.registry
    )
    return child.id


async def test_a_child_run_hands_its_output_to_the_waiting_task(engine: Engine) -> None:
    version = await _child_of(engine)
    run = await engine.start(flow_of({"id": "call"}))

    def decide(task: LeasedTask) -> Outcome:
        if task.step_id == "call":
            return waiting(task, kind="run", version_id=version, flow="child", input={"n": 0})
        return done(task, task.outputs.get("x", "hello"))

    await engine.drain(decide)
    await engine.store.tick()
    await engine.drain(decide)
    await engine.store.tick()
    assert (await engine.run(run)).output == {"call": "hello"}
    (child,) = await engine.store.list_runs(flow="child")
    assert (child.parent_run_id, child.input) == (run, {"n": 0})
    await engine.at_rest()


async def test_failure_and_cancellation_go_between_parent_and_child(engine: Engine) -> None:
    version = await _child_of(engine)

    def call(task: LeasedTask) -> Outcome:
        if task.step_id == "call":
            return waiting(task, kind="run", version_id=version, flow="child", input=None)
        return failed(task)

    run = await engine.start(flow_of({"id": "call"}))
    await engine.drain(call)
    await engine.store.tick()
    await engine.drain(call)
    await engine.store.tick()
    row = await engine.run(run)
    assert row.error is not None
    assert row.error["code"] == "child_failed"
    other = await engine.start(flow_of({"id": "call"}))
    await engine.drain(call)
    await engine.store.tick()
    await engine.store.cancel_run(other)
    await engine.store.tick()
    statuses = [child.status for child in await engine.store.list_runs(flow="child")]
    assert sorted(statuses) == [RunStatus.CANCELLED, RunStatus.FAILED]
    await engine.at_rest()


async def test_children_nest_only_so_deep(engine: Engine) -> None:
    flow = flow_of({"id": "call"}, slug="loop")
    version = await engine.store.register_version(flow, engine.registry)
    run = await engine.start(flow)
    for _ in range(12):
        await engine.drain(
            lambda t: waiting(t, kind="run", version_id=version.id, flow="loop", input=None)
        )
        await engine.store.tick()
    for _ in range(12):
        await engine.store.tick()
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED
    assert "too_deep" in str(row.error)
    await engine.at_rest()
