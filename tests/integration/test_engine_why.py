"""`why` names the cause that a run does not move for; each situation is brought about for real."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from flowbuilder.errors import NotFound
from flowbuilder.executor.database import Database
from flowbuilder.executor.diagnosis import Reason, Why
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.session_lock import SessionLock
from flowbuilder.executor.store import Store
from tests.support.engine import (
    Engine,
    done,
    failed,
    flow_of,
    plain_registry,
    retry,
    waiting,
)
from tests.support.waiting import eventually


async def why(engine: Engine, run: str, *codes: str) -> tuple[Reason, ...]:
    """Return the reasons, checked for the order of their codes and for what each must have."""
    found: Why = await engine.store.why(run)
    assert [reason.code.value for reason in found.reasons] == list(codes)
    assert found.run_id == run
    for reason in found.reasons:
        assert reason.message.endswith(".")
        assert "None" not in reason.message
    return found.reasons


async def test_a_run_that_failed_has_ended_with_its_error(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.drain(failed)
    (reason,) = await why(engine, run, "ended")
    assert reason.since == (await engine.run(run)).finished_at
    assert reason.details["status"] == "failed"
    assert "at step a: it went wrong" in reason.message


async def test_a_cancelled_run_says_by_whom(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.cancel_run(run, actor="user:ada", reason="too late")
    (reason,) = await why(engine, run, "ended")
    assert reason.message == "The run was cancelled by user:ada: too late."


async def test_a_paused_run_says_by_whom_and_since_when(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}))
    await engine.store.pause_run(run, actor="user:ada")
    await engine.store.resume_run(run)
    await engine.jump(100)
    await engine.join()
    await engine.store.pause_run(run, actor="user:bob")
    (reason, _) = await why(engine, run, "paused", "dependencies")
    paused = [e for e in await engine.store.events(run) if e.type == "workflow_paused"]
    assert (reason.details["by"], reason.since) == ("user:bob", paused[-1].at)


async def test_what_runs_in_a_paused_run_is_told_too(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.exchange()
    await engine.store.pause_run(run)
    await why(engine, run, "paused", "leased")


async def test_an_approval_says_who_is_asked_and_what_happens_then(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "send"}, {"id": "b", "depends_on": ["send"]}))
    await engine.drain(
        lambda t: waiting(
            t, kind="approval", approval_kind="gate", args={}, by=["user:ada", "role:boss"],
            message="Send it?", deadline_seconds=600, on_deadline="approve",
        )
    )  # fmt: skip
    reason, behind = await why(engine, run, "approval", "dependencies")
    (approval,) = await engine.store.approvals()
    assert (reason.step, reason.task_id, reason.until) == (
        "send",
        approval.task_id,
        approval.deadline_at,
    )
    assert reason.details["approval_id"] == approval.id
    assert reason.details["by"] == ["user:ada", "role:boss"]
    assert reason.details["on_deadline"] == "approve"
    assert "approval of user:ada, role:boss" in reason.message
    assert "then it counts as approved" in reason.message
    assert (behind.step, behind.details["steps"]) == ("b", ["send"])


async def test_a_sleep_says_until_when(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "nap"}))
    await engine.drain(lambda t: waiting(t, kind="time", seconds=3000))
    (reason,) = await why(engine, run, "time")
    (task,) = await engine.store.run_tasks(run)
    assert (reason.step, reason.until) == ("nap", task.available_at)
    assert "for another 50m" in reason.message


async def test_a_child_run_brings_its_own_reasons(engine: Engine) -> None:
    child = await engine.store.register_version(
        flow_of({"id": "nap"}, slug="child"), engine.registry
    )

    def decide(task: LeasedTask) -> Outcome:
        if task.step_id == "call":
            return waiting(task, kind="run", version_id=child.id, flow="child", input=None)
        return waiting(task, kind="time", seconds=300)

    run = await engine.start(flow_of({"id": "call"}))
    await engine.drain(decide)
    relayed, waits = await why(engine, run, "outbox", "child_run")
    assert (relayed.details["kind"], waits.details["child_run_id"]) == ("start_child", None)
    await engine.store.tick()
    await engine.drain(decide)
    (reason,) = await why(engine, run, "child_run")
    (row,) = await engine.store.list_runs(flow="child")
    assert (reason.details["child_run_id"], reason.details["status"]) == (row.id, "running")
    inners = reason.details["reasons"]
    assert isinstance(inners, list)
    (inner,) = inners
    assert isinstance(inner, dict)
    assert (inner["code"], inner["step"]) == ("time", "nap")
    assert "Step nap sleeps" in reason.message


async def test_the_end_of_a_child_waits_to_be_relayed(engine: Engine) -> None:
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)
    run = await engine.start(flow_of({"id": "call"}))
    await engine.drain(
        lambda t: waiting(t, kind="run", version_id=child.id, flow="child", input=None)
    )
    await engine.store.tick()
    await engine.drain(done)
    reason, _ = await why(engine, run, "outbox", "child_run")
    assert reason.details["kind"] == "child_ended"
    await engine.store.tick()
    await why(engine, run, "ended")


async def test_no_worker_at_all(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.stop_worker(engine.worker)
    (reason,) = await why(engine, run, "no_worker")
    assert (reason.step, reason.message) == ("a", "No worker is alive to run step a.")


async def test_without_a_worker_nobody_ends_a_wait_whose_time_has_come(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "nap"}))
    await engine.drain(lambda t: waiting(t, kind="time", seconds=100))
    await engine.store.stop_worker(engine.worker)
    await why(engine, run, "time", "no_worker")
    await engine.jump(101)
    await why(engine, run, "no_worker", "time")


async def test_no_live_worker_with_the_tool_names_it_and_those_alive(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a", "tool": "other"}))
    await engine.store.stop_worker(engine.worker)
    await engine.join(tools=["work@1"])
    (reason,) = await why(engine, run, "no_worker_with_tool")
    assert (reason.step, reason.details["tool"]) == ("a", "other@1")
    assert reason.details["live"] == ["test"]
    assert reason.message == "No live worker has the tool other@1 of step a; alive are test."


async def test_all_slots_taken_says_how_many_and_how_many_stand_before(engine: Engine) -> None:
    busy = await engine.start(flow_of({"id": "m", "for_each": list(range(10))}))
    await engine.exchange(free=8)
    run = await engine.start(flow_of({"id": "a"}))
    (reason,) = await why(engine, run, "workers_busy")
    assert (reason.details["running"], reason.details["slots"]) == (8, 8)
    assert reason.details["ahead"] == 2
    assert "8 of 8 slots are taken, 2 tasks before it" in reason.message
    both = await why(engine, busy, "workers_busy", "leased")
    assert [item.details["tasks"] for item in both] == [2, 8]


async def test_a_delayed_retry_says_when_and_after_what(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a", "retry": {"max_attempts": 4}}))
    await engine.exchange([retry(task, 900) for task in (await engine.exchange()).tasks])
    (reason,) = await why(engine, run, "retry_delayed")
    (task,) = await engine.store.run_tasks(run)
    assert (reason.until, reason.task_id) == (task.available_at, task.id)
    assert reason.details["error"] == {"code": "flaky", "message": "try again"}
    assert (reason.details["attempt"], reason.details["max_attempts"]) == (1, 4)
    assert reason.message == "Step a waits for attempt 2 of 4 in 15m after: try again."


async def test_a_running_task_names_its_worker(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    (reason,) = await why(engine, run, "leased")
    assert (reason.task_id, reason.details["worker_id"]) == (str(task.task_id), engine.worker)
    assert (reason.details["worker"], reason.details["pid"]) == ("test", 1)
    assert reason.since is not None
    assert reason.until is not None
    assert (reason.until - reason.since).total_seconds() == 30


async def _left(lock: SessionLock, engine: Engine, worker: str) -> None:
    """Release a session lock; the server ends the session a moment after its client."""

    async def unlocked() -> bool:
        statement = b"select flowbuilder.is_locked(%s::uuid) as locked"
        row = await engine.database.fetch_one(statement, (worker,))
        return row is not None and not row["locked"]

    await lock.release()
    await eventually(unlocked)


async def test_a_worker_whose_session_lock_is_gone_is_silent(engine: Engine) -> None:
    lock = SessionLock(engine.database)
    await lock.hold(engine.worker)
    run = await engine.start(flow_of({"id": "a"}))
    await engine.exchange()
    await engine.store.tick()  # sees the lock
    await why(engine, run, "leased")
    await _left(lock, engine, engine.worker)
    reason, _ = await why(engine, run, "worker_silent", "no_worker")
    assert reason.details["worker_id"] == engine.worker
    assert "is silent; its lease ends in 30s" in reason.message


async def test_a_lease_that_ran_out_is_told(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.exchange(lease=5)
    await engine.jump(6)
    (reason,) = await why(engine, run, "worker_silent")
    assert "its lease has run out" in reason.message


async def test_a_map_at_its_own_limit(engine: Engine) -> None:
    run = await engine.start(
        flow_of({"id": "m", "for_each": list(range(9)), "concurrency": 2}, {"id": "x"})
    )
    await engine.drain(lambda t: waiting(t, kind="time", seconds=60))
    *_, reason = await why(engine, run, "time", "time", "map_limit")
    assert (reason.step, reason.details["limit"], reason.details["pending"]) == ("m", 2, 7)
    assert "2 elements under way, of at most 2 at once; 7 wait" in reason.message


async def test_a_function_whose_process_is_gone_is_about_to_fail(database: Database) -> None:
    engine = Engine(database, plain_registry("function.w1.a", "work"))
    owner = await engine.join()
    flow = flow_of({"id": "a", "tool": "function.w1.a"})
    version = await engine.store.register_version(
        flow, engine.registry, origin="dynamic", owner=owner
    )
    run, _ = await engine.store.start_run(version.id, None, timeout_seconds=100_000)
    await why(engine, run.id, "queued")
    lock = SessionLock(database)
    await lock.hold(owner)
    await engine.join()  # another one, which does not have the function
    await engine.store.tick()
    await why(engine, run.id, "queued")
    await _left(lock, engine, owner)
    (reason,) = await why(engine, run.id, "worker_silent")
    assert reason.message == "Worker test, in which step a lives, is silent."
    await engine.store.tick()  # suspect
    await engine.jump(2)
    # Heard of just now, however slow this machine is.
    await database.execute(b"update flowbuilder.workers set last_seen_at = flowbuilder.now()")
    await engine.store.tick()  # dead, but it may only have been slow
    await why(engine, run.id, "worker_silent")
    await engine.jump(9)
    (reason,) = await why(engine, run.id, "function_gone")
    assert reason.step == "a"
    assert "about to fail" in reason.message
    await engine.store.tick()
    (reason,) = await why(engine, run.id, "ended")
    error = reason.details["error"]
    assert isinstance(error, dict)
    assert error["code"] == "function_gone"


async def test_a_run_is_held_open(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.hold_run(run, owner="planner", reason="steps are planned", seconds=60)
    await engine.drain(done)
    (reason,) = await why(engine, run, "held_open")
    assert (reason.details["holds"], reason.details["remaining_steps"]) == (1, 0)
    holds: Any = reason.details["by"]
    assert [(hold["owner"], hold["reason"]) for hold in holds] == [("planner", "steps are planned")]
    assert "(steps are planned). It fails in " in reason.message


async def test_what_is_queued_says_how_many_stand_before_it(engine: Engine) -> None:
    for _ in range(3):
        await engine.start(flow_of({"id": "a"}))
    run = await engine.start(flow_of({"id": "a"}))
    await engine.jump(10)
    await engine.exchange(free=0)
    (reason,) = await why(engine, run, "queued")
    assert reason.details["ahead"] == 3
    assert reason.message == "Step a is queued for 10s, 3 tasks before it."


async def test_a_deadline_that_is_near_or_over(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "nap"}), timeout_seconds=1000)
    await engine.drain(lambda t: waiting(t, kind="time", seconds=5000))
    await why(engine, run, "time")
    await engine.jump(910)
    await engine.join()
    _, reason = await why(engine, run, "time", "deadline")
    assert reason.until == (await engine.run(run)).deadline_at
    assert reason.details["overdue"] is False
    await engine.jump(100)
    await engine.join()
    first, _ = await why(engine, run, "deadline", "time")
    assert first.details["overdue"] is True
    await engine.store.tick()
    await why(engine, run, "ended")


async def test_a_step_waits_for_those_it_depends_on_that_are_open(engine: Engine) -> None:
    run = await engine.start(
        flow_of({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a", "b"]})
    )
    tasks = {task.step_id: task for task in (await engine.exchange()).tasks}
    await engine.exchange([done(tasks["a"])], held=[tasks["b"]])
    _, reason = await why(engine, run, "leased", "dependencies")
    assert (reason.step, reason.details["steps"]) == ("c", ["b"])
    assert reason.details["others"] == 0, "no more than are named"
    assert reason.message == "Step c waits for b."


async def test_the_finishing_task_of_a_run_is_named(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, output="${{ steps.a }}"))
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([done(task)], free=0)
    (reason,) = await why(engine, run, "queued")
    assert reason.step is None
    assert reason.message.startswith("The run's finishing task is queued")


async def test_a_run_of_nobody_or_of_others_is_not_found(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    for store, name in (
        (engine.store, "nonsense"),
        (engine.store, str(uuid.uuid4())),
        (Store(engine.database, workspace=str(uuid.uuid4())), run),
    ):
        with pytest.raises(NotFound) as refused:
            await store.why(name)
        assert refused.value.code == "run_not_found"


async def test_the_answer_as_json_carries_everything(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "nap"}))
    await engine.drain(lambda t: waiting(t, kind="time", seconds=3000))
    found = await engine.store.why(run)
    shown = found.as_json()
    assert (shown["run_id"], shown["status"], shown["flow"]) == (run, "running", "test")
    (reason,) = found.reasons
    assert shown["reasons"] == [
        {
            "code": "time",
            "message": reason.message,
            "step": "nap",
            "task_id": reason.task_id,
            "since": reason.since.isoformat() if reason.since else None,
            "until": reason.until.isoformat() if reason.until else None,
            "details": {"tasks": 1, "tool": "work@1", "attempt": 1},
        }
    ]
