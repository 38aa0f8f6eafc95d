"""Corners of the state machine: what meets in one batch, what comes late, what comes twice."""

from __future__ import annotations

import asyncio

import pytest

from flowbuilder.errors import Conflict, NotFound, StaleTask
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind, TaskKind, VersionRow
from flowbuilder.executor.states import ApprovalStatus, RunStatus
from flowbuilder.executor.store import Store
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import (
    Engine,
    done,
    failed,
    flow_of,
    plain_registry,
    retry,
    skipped,
    waiting,
)


def gate(task: LeasedTask, seconds: float = 60) -> Outcome:
    return waiting(
        task, kind="approval", approval_kind="gate", args={}, args_hash="x",
        deadline_seconds=seconds,
    )  # fmt: skip


# -- one batch ------------------------------------------------------------------------------


async def test_a_map_that_fails_the_run_leaves_nothing_of_the_map_beside_it(
    engine: Engine,
) -> None:
    flow = flow_of(
        {"id": "m", "for_each": "${{ input.none }}"}, {"id": "n", "for_each": "${{ input.some }}"}
    )
    run = await engine.start(flow, {"none": None, "some": [1, 2]})
    assert (await engine.run(run)).status is RunStatus.FAILED
    await engine.at_rest()


async def test_a_condition_that_fails_the_run_leaves_nothing_of_the_one_beside_it(
    engine: Engine,
) -> None:
    flow = flow_of(
        {"id": "m", "for_each": "${{ input.none }}", "when": "true"},
        {"id": "n", "for_each": "${{ input.some }}", "when": "true"},
    )
    run = await engine.start(flow, {"none": None, "some": [1, 2]})
    await engine.exchange([done(task, True) for task in (await engine.exchange()).tasks])
    assert (await engine.run(run)).status is RunStatus.FAILED
    await engine.at_rest()


async def test_two_failures_in_one_batch_end_the_run_once(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}, {"id": "c"}))
    a, b, c = (await engine.exchange()).tasks
    await engine.exchange([done(a), failed(b, "first"), failed(c, "second")])
    row = await engine.run(run)
    assert row.error is not None
    assert (row.error["code"], row.error["step"]) == ("first", "b")
    assert (await engine.trace(run)).count("workflow_failed") == 1
    await engine.at_rest()


async def test_the_same_report_twice_in_one_batch_counts_once(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}))
    a, b = (await engine.exchange()).tasks
    for kind in (done, skipped):
        await engine.exchange([kind(a), kind(a)], held=[b])
    await engine.consistent()
    await engine.exchange([skipped(b), skipped(b)])
    assert (await engine.run(run)).output == {"a": None}
    assert (await engine.trace(run)).count("task_skipped b") == 1
    await engine.at_rest()


async def test_what_is_due_in_a_run_that_just_failed_is_not_sent(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}, {"id": "b"}))
    a, b = (await engine.exchange()).tasks
    await engine.exchange([gate(a, 60), retry(b, 50)], free=0)
    await engine.jump(61)
    await engine.exchange(free=0)
    await engine.store.tick()
    assert [row.status for row in await engine.store.list_runs()] == [RunStatus.FAILED]
    await engine.at_rest()


async def test_a_failure_without_a_reason_is_a_failure_all_the_same(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([task.outcome(OutcomeKind.FAILED)])
    row = await engine.run(run)
    assert row.error is not None
    assert row.error["code"] == "failed"


# -- late and twice -------------------------------------------------------------------------


def released(task: LeasedTask) -> Outcome:
    return task.outcome(OutcomeKind.RELEASED)


@pytest.mark.parametrize("kind", [retry, released])
async def test_a_report_that_queued_the_task_again_may_be_repeated(
    engine: Engine, kind: object
) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    report = retry(task) if kind is retry else released(task)
    first = await engine.exchange([report], free=0)
    again = await engine.exchange([report], free=0)
    assert [*first.verdicts.values(), *again.verdicts.values()] == ["accepted", "already"]
    (taken,) = (await engine.exchange([report])).tasks
    # The reply with the new claim was lost, and the old report comes once more with the next call.
    late = await engine.exchange([report])
    assert list(late.verdicts.values()) == ["fenced"]
    assert [one.key for one in late.tasks] == [taken.key]
    assert taken.attempt == (2 if kind is retry else 1)
    await engine.exchange([done(taken, 1)])
    assert (await engine.run(run)).output == {"a": 1}
    await engine.at_rest()


async def test_a_report_of_waiting_may_be_repeated_until_and_after_the_decision(
    engine: Engine,
) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    for _ in range(2):
        await engine.exchange([gate(task)])
    (approval,) = await engine.store.approvals()
    await engine.store.decide(approval.id, approve=True, by="user:ada")
    (taken,) = (await engine.exchange([gate(task)])).tasks
    assert (taken.fence, taken.approved) == (2, True)
    assert (await engine.exchange([gate(task)], held=[taken])).verdicts[task.key] == "fenced"
    await engine.exchange([done(taken)])
    assert len(await engine.store.approvals(status=None)) == 1
    assert (await engine.trace(run)).count("approval_requested a") == 1
    await engine.at_rest()


async def test_what_is_handed_out_again_has_its_whole_lease(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}))
    lost = await engine.exchange(lease=10)
    await engine.jump(8)
    again = await engine.exchange(lease=10)
    assert [task.key for task in again.tasks] == [task.key for task in lost.tasks]
    await engine.jump(8)
    await engine.join()
    assert (await engine.exchange()).tasks == []


async def test_a_worker_that_was_slow_keeps_what_nobody_else_took(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange(lease=10)).tasks
    await engine.jump(20)
    answer = await engine.exchange(held=[task], lease=10)
    assert (answer.tasks, answer.lost) == ([], [])
    await engine.jump(20)
    (again,) = (await engine.exchange(lease=10)).tasks
    assert again.key == task.key
    await engine.exchange([done(again)])
    await engine.at_rest()


async def test_a_decision_after_the_deadline_is_refused_before_anybody_looked(
    engine: Engine,
) -> None:
    await engine.start(flow_of({"id": "a"}))
    await engine.drain(gate)
    (approval,) = await engine.store.approvals()
    await engine.jump(61)
    with pytest.raises(Conflict) as refused:
        await engine.store.decide(approval.id, approve=True, by="user:ada")
    assert (refused.value.code, refused.value.details["status"]) == ("approval_expired", "expired")
    await engine.store.tick()
    (approval,) = await engine.store.approvals(status=None)
    assert approval.status is ApprovalStatus.EXPIRED
    await engine.at_rest()


async def test_nothing_is_written_after_the_last_event(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}, {"id": "c"}))
    a, b, c = (await engine.exchange()).tasks
    await engine.exchange([gate(a)], held=[b, c])
    (approval,) = await engine.store.approvals()
    await engine.exchange([failed(b)], held=[c])
    last = (await engine.run(run)).last_seq
    assert not await engine.store.progress(engine.worker, c.task_id, c.fence, {"fraction": 1})
    with pytest.raises(Conflict):
        await engine.store.decide(approval.id, approve=True, by="user:ada")
    await engine.exchange([done(c)])
    await engine.jump(4000)
    await engine.store.tick()
    assert (await engine.run(run)).last_seq == last
    assert (await engine.trace(run))[-1] == "workflow_failed"
    await engine.at_rest()


async def test_one_key_with_two_inputs_at_once_starts_one_run(engine: Engine) -> None:
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    started = await asyncio.gather(
        *(
            engine.store.start_run(version.id, n % 2, timeout_seconds=60, idempotency_key="k")
            for n in range(16)
        ),
        return_exceptions=True,
    )
    runs = {one[0].id for one in started if isinstance(one, tuple)}
    refused = {one.code for one in started if isinstance(one, Conflict)}
    assert (len(runs), refused) == (1, {"idempotency_mismatch"})
    assert sum(isinstance(one, tuple) for one in started) == 8


async def test_a_key_keeps_its_run_when_a_new_version_is_published(engine: Engine) -> None:
    store, runs = engine.store, []
    for flow in (flow_of({"id": "a"}), flow_of({"id": "a"}, {"id": "b"})):
        version = await store.register_version(flow, engine.registry)
        runs.append(await store.start_run(version.id, [1], timeout_seconds=60, idempotency_key="k"))
    (first, _), (second, created) = runs
    assert (second.id, second.version_id, created) == (first.id, first.version_id, False)
    refusals: list[tuple[VersionRow, JsonValue, bool]] = [
        (version, [2], False),
        (version, [1], True),
        (await store.register_version(flow_of({"id": "a"}, slug="x"), engine.registry), [1], False),
        (
            await store.register_version(flow_of({"id": "z"}), engine.registry, origin="dynamic"),
            [1],
            False,
        ),
    ]
    for other, value, exact in refusals:
        with pytest.raises(Conflict) as refused:
            await store.start_run(
                other.id, value, timeout_seconds=60, idempotency_key="k", exact=exact
            )
        assert refused.value.code == "idempotency_mismatch"
    again, created = await store.start_run(
        first.version_id, [1], timeout_seconds=60, idempotency_key="k", exact=True
    )
    assert (again.id, created) == (first.id, False)


async def test_a_plan_of_another_workspace_is_not_found(engine: Engine) -> None:
    elsewhere = "00000000-0000-0000-0000-0000000000aa"
    await engine.database.execute(
        b"insert into flowbuilder.workspaces (id, slug) values (%s, 'other')", (elsewhere,)
    )
    plan: JsonObject = {"id": elsewhere, "goal": "g", "status": "ready"}
    await Store(engine.database, workspace=elsewhere).save_plan(plan)
    with pytest.raises(NotFound) as refused:
        await engine.store.save_plan({**plan, "goal": "mine"})
    assert refused.value.code == "plan_not_found"
    kept = await Store(engine.database, workspace=elsewhere).get_plan(elsewhere)
    assert kept.goal == "g"


# -- paused runs ----------------------------------------------------------------------------


async def test_a_paused_run_ends_what_is_under_way_and_completes_when_resumed(
    engine: Engine,
) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}))
    a, b = (await engine.exchange()).tasks
    await engine.exchange([gate(b)], held=[a])
    await engine.store.pause_run(run)
    await engine.exchange([done(a, 1)])
    (approval,) = await engine.store.approvals()
    await engine.store.decide(approval.id, approve=True, by="user:ada")
    assert (await engine.exchange()).tasks == []
    await engine.store.resume_run(run)
    (b,) = (await engine.exchange()).tasks
    await engine.store.pause_run(run)
    await engine.exchange([done(b, 2)])
    assert (await engine.run(run)).status is RunStatus.PAUSED
    row = await engine.store.resume_run(run)
    assert (row.status, row.output) == (RunStatus.COMPLETED, {"a": 1, "b": 2})
    await engine.at_rest()


async def test_a_paused_run_fails_at_its_deadline(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}), timeout_seconds=30)
    await engine.store.pause_run(run)
    await engine.jump(31)
    await engine.store.tick()
    assert (await engine.run(run)).status is RunStatus.FAILED
    await engine.at_rest()


# -- child runs -----------------------------------------------------------------------------


async def _calling(engine: Engine, **rest: JsonValue) -> tuple[str, str]:
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)
    run = await engine.start(flow_of({"id": "call"}), **rest)
    await engine.drain(
        lambda t: waiting(t, kind="run", version_id=child.id, flow="child", input=None)
    )
    return run, child.id


async def test_a_parent_that_ends_first_starts_no_child(engine: Engine) -> None:
    run, _ = await _calling(engine)
    await engine.store.cancel_run(run)
    await engine.store.tick()
    assert await engine.store.list_runs(flow="child") == []
    await engine.at_rest()


async def test_a_child_of_a_paused_parent_runs_and_ends_by_the_parents_deadline(
    engine: Engine,
) -> None:
    run, _ = await _calling(engine, timeout_seconds=30)
    await engine.store.pause_run(run)
    await engine.store.tick()
    (child,) = await engine.store.list_runs(flow="child")
    assert child.deadline_at <= (await engine.run(run)).deadline_at
    await engine.drain(done)
    await engine.store.tick()
    row = await engine.store.resume_run(run)
    assert (row.status, row.output) == (RunStatus.COMPLETED, {"call": {"x": None}})
    await engine.at_rest()


@pytest.mark.parametrize("version", ["00000000-0000-0000-0000-00000000dead", "no id", None])
async def test_a_child_that_cannot_start_fails_its_task_and_holds_up_nobody(
    engine: Engine, version: JsonValue
) -> None:
    broken = await engine.start(flow_of({"id": "call"}))
    await engine.drain(lambda t: waiting(t, kind="run", version_id=version, flow="x", input=1))
    good, _ = await _calling(engine)
    for _ in range(2):
        await engine.store.tick()
        await engine.drain(done)
    await engine.store.tick()
    error = (await engine.run(broken)).error
    assert error is not None
    assert error["code"] == "child_not_started"
    assert (await engine.run(good)).status is RunStatus.COMPLETED
    await engine.at_rest()


# -- maps -----------------------------------------------------------------------------------


async def test_a_map_over_the_results_of_a_map_keeps_the_holes(engine: Engine) -> None:
    flow = flow_of(
        {"id": "m", "for_each": "${{ input }}", "on_error": "continue"},
        {"id": "n", "for_each": "${{ steps.m }}", "on_error": "skip"},
    )
    run = await engine.start(flow, [1, 2, 3, 4])

    def decide(task: LeasedTask) -> Outcome:
        bad = task.item == 2 if task.step_id == "m" else task.item == 3
        return failed(task) if bad else done(task, task.item)

    seen = await engine.drain(decide)
    assert [task.item for task in seen if task.step_id == "n"] == [1, None, 3, 4]
    assert (await engine.run(run)).output == {"n": [1, None, None, 4]}
    await engine.at_rest()


@pytest.mark.parametrize("policy", ["skip", "continue"])
async def test_a_map_over_a_forgiven_step_has_no_elements(engine: Engine, policy: str) -> None:
    flow = flow_of(
        {"id": "a", "on_error": policy},
        {"id": "m", "for_each": "${{ steps.a.items }}", "trigger_rule": "all_done"},
        output="${{ steps.m }}",
    )
    run = await engine.start(flow)

    def decide(task: LeasedTask) -> Outcome:
        return done(task, task.outputs["m"]) if task.kind is TaskKind.FINISH else failed(task)

    await engine.drain(decide)
    assert (await engine.run(run)).output == []
    await engine.at_rest()


async def test_a_forgiven_condition_of_a_map_says_what_failed(engine: Engine) -> None:
    flow = flow_of({"id": "m", "for_each": "${{ input }}", "when": "x", "on_error": "continue"})
    run = await engine.start(flow, [1])
    await engine.drain(failed)
    assert (await engine.run(run)).output == {"m": None}
    assert "task_failed m" in await engine.trace(run)


# -- ends -----------------------------------------------------------------------------------


async def test_a_run_in_which_all_is_skipped_completes_with_nothing(engine: Engine) -> None:
    flow = flow_of({"id": "a", "when": "false"}, {"id": "b", "depends_on": ["a"]})
    run = await engine.start(flow)
    await engine.drain(skipped)
    assert (await engine.run(run)).output == {}
    await engine.at_rest()


async def test_a_finishing_task_that_fails_fails_the_run(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, output="${{ steps.a.x }}"))
    await engine.drain(lambda t: failed(t) if t.kind is TaskKind.FINISH else done(t))
    row = await engine.run(run)
    assert (row.status, row.error is not None and row.error["code"]) == (RunStatus.FAILED, "boom")
    await engine.at_rest()


async def test_functions_of_a_process_that_is_gone_fail_also_when_queued_later(
    engine: Engine,
) -> None:
    registry = plain_registry("function.f")
    flow = flow_of(
        {"id": "m", "tool": "function.f", "for_each": "${{ input }}", "concurrency": 1,
         "on_error": "continue"},
        {"id": "z", "tool": "function.f", "depends_on": ["m"], "on_error": "continue"},
    )  # fmt: skip
    version = await engine.store.register_version(
        flow, registry, origin="dynamic", owner=engine.worker
    )
    run, _ = await engine.store.start_run(version.id, [1, 2, 3], timeout_seconds=3600)
    await engine.store.stop_worker(engine.worker)
    for _ in range(4):
        await engine.store.tick()
    row = await engine.run(run.id)
    assert (row.status, row.output) == (RunStatus.COMPLETED, {"z": None})
    codes = [
        event.data["error"]["code"]  # type: ignore[call-overload, index]
        for event in await engine.store.events(run.id)
        if event.type == "task_failed"
    ]
    assert codes == ["function_gone"] * 4
    await engine.at_rest()


async def test_functions_of_a_worker_that_was_given_up_wait_a_while_for_it(
    engine: Engine,
) -> None:
    registry = plain_registry("function.f")
    flow = flow_of({"id": "a", "tool": "function.f"}, {"id": "b", "depends_on": ["a"]})
    version = await engine.store.register_version(
        flow, registry.merged(engine.registry), origin="dynamic", owner=engine.worker
    )
    tools = [*registry.refs(), *engine.registry.refs()]
    gave_up = b"select flowbuilder.retire_worker(%s::uuid, 'dead')"

    async def held() -> tuple[str, LeasedTask]:
        await engine.join(worker=engine.worker, tools=tools)
        run, _ = await engine.store.start_run(version.id, None, timeout_seconds=3600)
        (task,) = (await engine.exchange()).tasks
        await engine.database.execute(gave_up, (engine.worker,))
        with pytest.raises(StaleTask):
            await engine.exchange([done(task)])
        await engine.jump(3)
        await engine.store.tick()
        return run.id, task

    run, task = await held()
    await engine.join(worker=engine.worker, tools=tools)
    (again,) = (await engine.exchange([done(task, "late")])).tasks
    assert (again.task_id, again.fence, again.attempt) == (task.task_id, task.fence + 1, 1)
    late = await engine.exchange([done(task, "late")], held=[again])
    assert late.verdicts[task.key] == "fenced"
    await engine.exchange([done(again, "right")])
    await engine.drain(lambda t: done(t, t.step_id))
    assert (await engine.run(run)).output == {"b": "b"}

    run, _ = await held()
    await engine.jump(6)
    await engine.store.tick()
    error = (await engine.run(run)).error
    assert error is not None
    assert error["code"] == "function_gone"
    await engine.at_rest()


async def test_a_worker_that_has_stopped_does_not_come_back(engine: Engine) -> None:
    await engine.store.stop_worker(engine.worker)
    await engine.join(worker=engine.worker)
    with pytest.raises(StaleTask):
        await engine.exchange()


async def test_a_long_chain_of_skips_settles_in_one_call(engine: Engine) -> None:
    chain: list[JsonObject] = [
        {"id": f"s{n}", "depends_on": [f"s{n - 1}"] if n else []} for n in range(1000)
    ]
    flow = flow_of(*chain)
    run = await engine.start(flow)
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([skipped(task)])
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    assert len(await engine.trace(run)) == 1003
    await engine.at_rest()


@pytest.mark.slow
async def test_a_map_of_ten_thousand_elements_keeps_its_order_and_its_window(
    engine: Engine,
) -> None:
    count = 10_000
    flow = flow_of(
        {"id": "m", "for_each": "${{ input }}", "on_error": "continue"},
        {"id": "z", "args": {"all": "${{ steps.m }}"}},
    )
    run = await engine.start(flow, list(range(count)))
    assert (await engine.store.queue_depth())["messages"] == 1000
    tasks = (await engine.exchange(free=50)).tasks
    while tasks and tasks[0].step_id == "m":
        report = [failed(t) if t.item == 77 else done(t, t.item) for t in tasks]
        tasks = (await engine.exchange(report, free=50)).tasks
    (last,) = tasks
    expected: list[JsonValue] = [None if n == 77 else n for n in range(count)]
    assert last.outputs == {"m": expected}
    await engine.exchange([done(last)])
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_the_messages_of_a_paused_run_are_out_of_the_way(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "m", "for_each": "${{ input }}"}), [1, 2, 3])
    await engine.store.pause_run(run)
    other = await engine.start(flow_of({"id": "a"}))
    visible = await engine.database.fetch_one(
        b"select count(*) as n from pgmq.q_flowbuilder_tasks where vt <= flowbuilder.now()"
    )
    assert visible == {"n": 1}
    await engine.drain(done)
    assert (await engine.run(other)).status is RunStatus.COMPLETED
    await engine.store.resume_run(run)
    await engine.drain(done)
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_a_clock_that_is_set_back_makes_no_negative_durations(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    await engine.jump(-3600)
    await engine.exchange([done(task)])
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    durations = [
        event.data["duration_ms"]
        for event in await engine.store.events(run)
        if event.type == "task_completed"
    ]
    assert durations == [0]
    await engine.at_rest()
