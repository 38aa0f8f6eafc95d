"""Re-plans: a run that may be planned anew waits for that where another one fails."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from flowbuilder.errors import Conflict, FlowBuilderError, InvalidTransition
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import RunStatus, StepStatus
from flowbuilder.executor.store import Store
from flowbuilder.executor.terms import Terms
from tests.support.engine import Engine, done, failed, flow_of, waiting
from tests.support.growing import grow
from tests.support.replanning import ALLOWED, TOOLS, claimed, known, replaced, started

CHAIN = flow_of(
    {"id": "a"},
    {"id": "b", "args": {"x": "${{ steps.a.n }}"}},
    {"id": "c", "args": {"x": "${{ steps.b }}"}},
)


def but(*broken: str) -> Any:
    """Complete every task with an output of its own, but fail these."""

    def decide(task: LeasedTask) -> Outcome:
        name = task.step_id or ""
        return failed(task) if name in broken else done(task, {"n": name})

    return decide


async def outputs(engine: Engine, run: str) -> list[dict[str, Any]]:
    """Return the stored texts of the outputs of a run's steps, by id."""
    return await engine.database.fetch_all(
        b"""select step_id, position, status, output::text as output from flowbuilder.run_steps
            where run_id = %s::uuid order by position""",
        (run,),
    )


async def test_without_the_flag_a_failed_step_ends_the_run(engine: Engine) -> None:
    run = await engine.start(CHAIN)
    await engine.drain(but("b"))
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED and row.error is not None
    assert "replan" not in row.error
    assert await engine.store.replans(run) == []
    assert await engine.store.claim_replan("planner", tools=TOOLS, lease_seconds=30) is None
    await engine.at_rest()


async def test_a_failed_step_is_replaced_and_the_rest_goes_on(engine: Engine) -> None:
    run = await started(engine, CHAIN)
    await engine.drain(but("b"))
    row = await engine.run(run)
    assert row.status is RunStatus.RUNNING
    [hold] = await engine.store.run_holds(run)
    assert "b failed" in str(hold["reason"])
    await engine.consistent()
    before = await outputs(engine, run)

    claim = await claimed(engine)
    context = await known(engine, claim)
    assert [(step.id, step.status.value) for step in context.steps] == [
        ("a", "completed"), ("b", "failed"), ("c", "pending"),
    ]  # fmt: skip
    assert context.tried == {"b": ["work@1"]}
    assert context.error["code"] == "boom"
    await replaced(engine, claim, {"id": "b", "tool": "other", "args": {"y": "${{ steps.a.n }}"}})
    await engine.consistent()
    seen = await engine.drain(but())
    assert [task.step_id for task in seen] == ["b", "c"]
    assert seen[0].outputs == {"a": {"n": "a"}}

    row = await engine.run(run)
    assert (row.status, row.output) == (RunStatus.COMPLETED, {"c": {"n": "c"}})
    after = await outputs(engine, run)
    assert after[0] == before[0]
    assert [(item["step_id"], item["position"]) for item in after] == [
        ("a", 0), ("c", 2), ("b", 3),
    ]  # fmt: skip
    assert await engine.store.run_holds(run) == []
    [replan] = await engine.store.replans(run)
    assert (replan.status, replan.number, replan.usage) == ("done", 1, {"calls": 1})
    trace = await engine.trace(run)
    assert trace[trace.index("task_failed b") :] == [
        "task_failed b", "workflow_replanning b", "plan_repaired", "step_added b",
        "task_started b", "task_completed b", "task_started c", "task_completed c",
        "workflow_completed",
    ]  # fmt: skip
    await engine.at_rest()


async def test_what_does_not_depend_on_the_failed_step_goes_on_meanwhile(engine: Engine) -> None:
    run = await started(engine, flow_of({"id": "a"}, {"id": "x"}, {"id": "y", "depends_on": ["x"]}))
    await engine.drain(but("a"))
    assert [step.status.value for step in await engine.store.run_steps(run)] == [
        "failed", "completed", "completed",
    ]  # fmt: skip
    await engine.consistent()
    await replaced(engine, await claimed(engine), without=["a"])
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    assert (await engine.run(run)).output == {"y": {"n": "y"}}
    await engine.at_rest()


async def test_a_new_plan_may_change_drop_and_add_what_has_not_started(engine: Engine) -> None:
    flow = flow_of(
        {"id": "a"},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c", "depends_on": ["b"]},
        {"id": "d", "depends_on": ["c"]},
        output={"end": "${{ steps.d }}"},
    )
    run = await started(engine, flow)
    await engine.drain(but("b"))
    await replaced(
        engine,
        await claimed(engine),
        {"id": "c", "args": {"x": "${{ steps.a.n }}"}, "depends_on": ["e"]},
        {"id": "e", "args": {"x": "${{ steps.a.n }}"}},
        without=["b", "d"],
        output={"end": "${{ steps.c.n }}", "first": "${{ steps.a.n }}"},
    )
    await engine.consistent()
    seen = await engine.drain(but())
    assert [task.step_id for task in seen] == ["e", "c", None]
    assert seen[-1].outputs == {"c": {"n": "c"}, "a": {"n": "a"}}
    assert [item["position"] for item in await outputs(engine, run)] == [0, 2, 4]
    await engine.at_rest()


async def test_maps_conditions_and_barred_steps_of_a_new_plan_begin_as_they_should(
    engine: Engine,
) -> None:
    run = await started(engine, flow_of({"id": "a"}, {"id": "b"}), [1, 2])
    await engine.drain(but("b"))
    await replaced(
        engine,
        await claimed(engine),
        {"id": "m", "for_each": "${{ input }}"},
        {"id": "none", "for_each": []},
        {"id": "after", "depends_on": ["none"]},
        {"id": "w", "for_each": "${{ input }}", "when": "true"},
        without=["b"],
    )
    await engine.consistent()
    seen = await engine.drain(but())
    assert sorted((task.step_id or "", task.kind.value) for task in seen) == [
        ("after", "step"), ("m", "step"), ("m", "step"), ("w", "expand"), ("w", "step"),
        ("w", "step"),
    ]  # fmt: skip
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_the_other_elements_of_a_map_that_failed_are_cancelled(engine: Engine) -> None:
    run = await started(engine, flow_of({"id": "m", "for_each": [1, 2, 3, 4], "concurrency": 3}))
    tasks = (await engine.exchange()).tasks
    assert len(tasks) == 3
    await engine.exchange([done(tasks[0], 1), waiting(tasks[1], kind="time", seconds=60)], free=0)
    await engine.exchange([failed(tasks[2])], free=0)
    await engine.consistent()
    states = sorted(task.status.value for task in await engine.store.run_tasks(run))
    assert states == ["cancelled", "cancelled", "completed", "failed"]
    answer = await engine.exchange([done(tasks[1], 2)])
    assert answer.verdicts == {tasks[1].key: "fenced"} and not answer.tasks
    await replaced(engine, await claimed(engine), {"id": "m", "for_each": [1]})
    await engine.drain(but())
    assert (await engine.run(run)).output == {"m": [{"n": "m"}]}
    await engine.at_rest()


async def test_two_steps_that_fail_ask_for_one_new_plan(engine: Engine) -> None:
    run = await started(engine, flow_of({"id": "a"}, {"id": "b"}))
    [a, b] = (await engine.exchange()).tasks
    await engine.exchange([failed(a, "first")])
    claim = await claimed(engine)
    early = await known(engine, claim)
    await engine.exchange([failed(b, "second")])
    with pytest.raises(Conflict) as caught:  # it had not heard of b
        await replaced(engine, claim, {"id": "a", "tool": "other"}, context=early)
    assert caught.value.code == "run_changed"
    context = await known(engine, claim)
    assert [step.status for step in context.steps] == [StepStatus.FAILED, StepStatus.FAILED]
    await replaced(engine, claim, {"id": "a", "tool": "other"}, without=["b"])
    await engine.drain(but())
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    assert len(await engine.store.replans(run)) == 1
    await engine.at_rest()


async def test_the_first_error_is_that_of_the_run(engine: Engine) -> None:
    run = await started(engine, flow_of({"id": "a"}, {"id": "b"}))
    [a, b] = (await engine.exchange()).tasks
    await engine.exchange([failed(a, "first")])
    await engine.exchange([failed(b, "second")])
    claim = await claimed(engine)
    reason: Any = {"code": "no_way", "message": "nothing else does this"}
    assert await engine.store.refuse_replan(claim, reason, usage={"calls": 2})
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED and row.error is not None
    assert (row.error["code"], row.error["step"], row.error["replan"]) == ("first", "a", reason)
    [replan] = await engine.store.replans(run)
    assert (replan.status, replan.usage) == ("refused", {"calls": 2})
    events = await engine.store.events(run)
    assert events[-1].data["failed_task"] == row.error["task_id"]
    assert not await engine.store.refuse_replan(claim, reason)
    await engine.at_rest()


async def test_a_run_is_planned_anew_three_times_at_most(engine: Engine) -> None:
    run = await started(engine, flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}))
    for number in (1, 2, 3):
        await engine.drain(but("b"))
        claim = await claimed(engine)
        assert claim.number == number
        await replaced(engine, claim, {"id": "b", "depends_on": ["a"]})
    await engine.drain(but("b"))
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED and row.error is not None
    last: Any = row.error["replan"]
    assert (row.error["code"], last["code"]) == ("boom", "replans_used_up")
    assert [item.status for item in await engine.store.replans(run)] == ["done"] * 3
    assert [item["position"] for item in await outputs(engine, run)] == [0, 4]
    await engine.at_rest()


async def test_without_a_re_planner_the_run_fails_with_its_own_error(engine: Engine) -> None:
    run = await started(engine, CHAIN, terms=Terms(max_replans=1, replan_seconds=60))
    await engine.drain(but("b"))
    assert (await engine.store.tick()).next_due_seconds == pytest.approx(60, abs=30)
    await engine.jump(61)
    await engine.store.tick()
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED and row.error is not None
    told: Any = row.error["replan"]
    assert (row.error["code"], row.error["step"], told["code"]) == ("boom", "b", "replan_abandoned")
    assert await engine.store.claim_replan("late", tools=TOOLS, lease_seconds=30) is None
    await engine.at_rest()


async def test_the_deadline_of_the_run_ends_the_waiting_too(engine: Engine) -> None:
    run = await started(engine, CHAIN, timeout_seconds=100)
    await engine.drain(but("b"))
    await engine.jump(101)
    await engine.store.tick()
    row = await engine.run(run)
    assert row.error is not None
    told: Any = row.error["replan"]
    assert row.error["code"] == "boom"
    assert told["code"] in ("deadline_exceeded", "replan_abandoned")
    await engine.at_rest()


async def test_a_re_planner_that_is_gone_is_followed_by_another_one(engine: Engine) -> None:
    run = await started(engine, CHAIN)
    await engine.drain(but("b"))
    gone = await claimed(engine, "gone", lease=30)
    assert await engine.store.claim_replan("next", tools=TOOLS, lease_seconds=30) is None
    context = await known(engine, gone)
    await engine.jump(20)
    assert await engine.store.extend_replan(gone, lease_seconds=30)
    await engine.jump(20)
    assert await engine.store.claim_replan("next", tools=TOOLS, lease_seconds=30) is None
    await engine.jump(20)
    following = await claimed(engine, "next")
    [hold] = await engine.store.run_holds(run)
    assert hold["owner"] == "next"
    assert not await engine.store.extend_replan(gone, lease_seconds=30)
    assert await engine.store.replan_context(gone) is None
    assert not await engine.store.refuse_replan(gone, {"code": "late"})
    with pytest.raises(Conflict) as caught:
        await replaced(engine, gone, {"id": "b"}, context=context)
    assert caught.value.code == "replan_lost"
    await replaced(engine, following, {"id": "b", "args": {"x": "${{ steps.a.n }}"}})
    await engine.drain(but())
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    assert [item.tries for item in await engine.store.replans(run)] == [2]
    await engine.at_rest()


async def test_what_has_started_meanwhile_cannot_be_changed(engine: Engine) -> None:
    flow = flow_of({"id": "a"}, {"id": "x"}, {"id": "y", "depends_on": ["x"]})
    run = await started(engine, flow)
    [a, x] = (await engine.exchange()).tasks
    await engine.exchange([failed(a)])
    claim = await claimed(engine)
    context = await known(engine, claim)
    [y] = (await engine.exchange([done(x)])).tasks
    for gone in (["a", "y"], ["a", "x", "y"]):
        with pytest.raises(Conflict) as caught:
            await replaced(engine, claim, {"id": "new"}, context=context, without=gone)
        assert caught.value.code == "run_changed"
    with pytest.raises(Conflict):
        changed: Any = {"id": "y", "depends_on": ["x"], "args": {"n": 0}}
        await replaced(engine, claim, changed, context=context, without=["a"])
    await replaced(engine, claim, context=context, without=["a"])
    await engine.consistent()
    assert (await engine.exchange([done(y, 0)])).verdicts == {y.key: "accepted"}
    assert (await engine.run(run)).output == {"y": 0}
    await engine.at_rest()


async def test_a_cancelled_run_is_planned_no_more(engine: Engine) -> None:
    run = await started(engine, CHAIN)
    await engine.drain(but("b"))
    claim = await claimed(engine)
    context = await known(engine, claim)
    await engine.store.cancel_run(run)
    with pytest.raises(InvalidTransition):
        await replaced(engine, claim, {"id": "b"}, context=context)
    assert not await engine.store.refuse_replan(claim, {"code": "no_way"})
    assert (await engine.run(run)).status is RunStatus.CANCELLED
    assert [item.status for item in await engine.store.replans(run)] == ["cancelled"]
    await engine.at_rest()


async def test_a_paused_run_may_be_planned_anew_and_starts_nothing(engine: Engine) -> None:
    run = await started(engine, CHAIN)
    await engine.drain(but("b"))
    await engine.store.pause_run(run)
    await replaced(engine, await claimed(engine), {"id": "b", "tool": "other"})
    assert not (await engine.exchange()).tasks
    await engine.consistent()
    await engine.store.resume_run(run)
    assert [task.step_id for task in await engine.drain(but())] == ["b", "c"]
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_racing_verbs_leave_one_end(engine: Engine) -> None:
    for verb in ("cancel", "pause", "refuse", "expire"):
        run = await started(engine, CHAIN, terms=Terms(max_replans=1, replan_seconds=60))
        await engine.drain(but("b"))
        claim = await claimed(engine)
        context = await known(engine, claim)
        if verb == "expire":
            await engine.jump(61)
        other: Any = {
            "cancel": partial(engine.store.cancel_run, run),
            "pause": partial(engine.store.pause_run, run),
            "refuse": partial(engine.store.refuse_replan, claim, {"code": "no"}),
            "expire": engine.store.tick,
        }[verb]
        results = await asyncio.gather(
            replaced(engine, claim, {"id": "b", "tool": "other"}, context=context),
            other(),
            return_exceptions=True,
        )
        for result in results:
            assert not isinstance(result, BaseException) or isinstance(result, FlowBuilderError)
        await engine.consistent()
        await engine.finish_everything(but())
        assert (await engine.run(run)).status.terminal
        await engine.trace(run)
    await engine.at_rest()


async def test_a_denied_approval_asks_for_a_new_plan_and_a_denied_new_plan_for_none(
    engine: Engine,
) -> None:
    flow = flow_of({"id": "a"}, {"id": "send", "depends_on": ["a"], "approval": {}})

    def decide(task: LeasedTask) -> Outcome:
        if task.step_id == "a":
            return done(task, 0)
        return waiting(
            task, kind="approval", args={}, args_hash="0", tool="work@1", approval_kind="gate",
            message=None, by=[], deadline_seconds=3600, on_deadline="reject",
        )  # fmt: skip

    run = await started(engine, flow)
    await engine.drain(decide)
    [asked] = await engine.store.approvals(run_id=run)
    await engine.store.decide(asked.id, approve=False, by="user:ada", comment="no")
    assert (await engine.run(run)).status is RunStatus.RUNNING
    claim = await claimed(engine)
    context = await known(engine, claim)
    assert context.error["code"] == "approval_rejected"
    await replaced(engine, claim, {"id": "call", "tool": "other"}, without=["send"])
    await engine.drain(decide)
    [again] = await engine.store.approvals(run_id=run)
    await engine.store.decide(again.id, approve=False, by="user:ada", comment="nor that")
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED and row.error is not None
    told: Any = row.error["replan"]
    assert (row.error["step"], told["code"]) == ("send", "replan_denied")
    assert told["error"]["step"] == "call"
    await engine.at_rest()


async def test_what_was_done_before_and_after_a_new_plan_is_undone_together(
    engine: Engine,
) -> None:
    undo: Any = {"tool": "other"}
    flow = flow_of(
        {"id": "a", "compensate": undo},
        {"id": "b", "depends_on": ["a"], "compensate": undo},
        {"id": "c", "depends_on": ["b"]},
    )
    run = await started(engine, flow, terms=Terms(max_replans=1))
    await engine.drain(but("b"))
    assert not [item for item in await engine.trace(run) if "compensating" in item]
    new: Any = {"id": "b", "tool": "other", "depends_on": ["a"], "compensate": {"tool": "work"}}
    await replaced(engine, await claimed(engine), new)
    seen = await engine.drain(but("c"))
    assert [task.step_id for task in seen] == ["b", "c", "compensate:b", "compensate:a"]
    row = await engine.run(run)
    assert row.error is not None
    assert (row.error["compensated"], row.error["not_compensated"]) == (["b", "a"], [])
    told: Any = row.error["replan"]
    assert (row.error["step"], told["code"]) == ("c", "replans_used_up")
    await engine.at_rest()


async def test_a_refused_new_plan_undoes_what_was_done(engine: Engine) -> None:
    run = await started(engine, flow_of({"id": "a", "compensate": {"tool": "other"}},
                                        {"id": "b", "depends_on": ["a"]}))  # fmt: skip
    await engine.drain(but("b"))
    claim = await claimed(engine)
    assert await engine.store.refuse_replan(claim, {"code": "no_way", "message": "none"})
    await engine.consistent()
    await engine.drain(but())
    row = await engine.run(run)
    assert row.error is not None
    assert (row.error["code"], row.error["compensated"]) == ("boom", ["a"])
    assert row.error["replan"] == {"code": "no_way", "message": "none"}
    await engine.at_rest()


async def test_a_run_that_was_planned_anew_grows_and_is_retried_like_any_other(
    engine: Engine,
) -> None:
    run = await started(engine, CHAIN)
    await engine.drain(but("b"))
    await replaced(engine, await claimed(engine), {"id": "b", "args": {"x": "${{ steps.a.n }}"}})
    await grow(engine, run, {"id": "d", "args": {"x": "${{ steps.b.n }}", "y": "${{ steps.c }}"}})
    await grow(engine, run, {"id": "e", "depends_on": ["d"]})
    await engine.consistent()
    seen = await engine.drain(but("d"))
    assert [task.step_id for task in seen] == ["b", "c", "d"]
    await engine.store.refuse_replan(await claimed(engine), {"code": "no_way"})
    retried = await engine.store.retry_run(run)
    seen = await engine.drain(but("d"))
    assert [task.step_id for task in seen] == ["d"]
    assert seen[0].outputs == {"b": {"n": "b"}, "c": {"n": "c"}}
    claim = await claimed(engine)
    assert (claim.run_id, claim.number) == (retried.run_id, 1)
    await replaced(engine, claim, {"id": "d"}, without=["e"])
    await engine.drain(but())
    assert (await engine.run(claim.run_id)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_a_step_that_did_not_wait_for_the_failed_one_keeps_its_edges(engine: Engine) -> None:
    flow = flow_of(
        {"id": "a"},
        {"id": "b"},
        {"id": "x", "depends_on": ["a", "b"], "trigger_rule": "one_success"},
    )
    run = await started(engine, flow)
    [a, b] = (await engine.exchange()).tasks
    [x] = (await engine.exchange([done(a)], held=[b])).tasks
    await engine.exchange([failed(b)], held=[x])
    await replaced(engine, await claimed(engine), {"id": "b", "tool": "other"})
    await engine.consistent()
    await engine.drain(lambda task: done(task, 1 if task.step_id == "x" else 2))
    assert (await engine.run(run)).output == {"x": 1}
    await engine.at_rest()


async def test_children_are_not_planned_anew(engine: Engine) -> None:
    child = await engine.store.register_version(flow_of({"id": "k"}, slug="child"), engine.registry)
    run = await started(engine, flow_of({"id": "a"}))
    [task] = (await engine.exchange()).tasks
    await engine.exchange(
        [waiting(task, kind="run", version_id=child.id, input=None, flow="child")], free=0
    )
    await engine.store.tick()
    await engine.drain(but("k"))
    await engine.store.tick()
    context = await known(engine, await claimed(engine))
    assert (await engine.run(run)).status is RunStatus.RUNNING
    assert context.error["code"] == "child_failed"


async def test_a_user_s_hold_stays_beside_that_of_the_new_plan(engine: Engine) -> None:
    run = await started(engine, flow_of({"id": "a"}))
    await engine.store.hold_run(run, owner="user", seconds=60)
    await engine.drain(but("a"))
    assert len(await engine.store.run_holds(run)) == 2
    await replaced(engine, await claimed(engine), {"id": "a"})
    await engine.drain(but())
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.store.release_hold(run, owner="user")
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    assert ALLOWED.as_json()["replanning"] == {"most": 3, "seconds": 600}
    await engine.at_rest()


async def test_a_step_that_fails_while_the_run_starts_waits_for_a_new_plan(engine: Engine) -> None:
    run = await started(engine, flow_of({"id": "a", "for_each": "${{ input }}"}, {"id": "b"}), 0)
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.consistent()
    claim = await claimed(engine)
    assert (await known(engine, claim)).error["code"] == "for_each_not_array"
    await replaced(engine, claim, {"id": "a"})
    await engine.drain(but())
    assert (await engine.run(run)).output == {"a": {"n": "a"}, "b": {"n": "b"}}
    await engine.at_rest()


async def test_only_the_workspace_s_own_runs_are_given_out(engine: Engine) -> None:
    await started(engine, CHAIN)
    await engine.drain(but("b"))
    other = "00000000-0000-0000-0000-000000000002"
    await engine.database.execute(
        b"insert into flowbuilder.workspaces (id, slug) values (%s::uuid, 'other')", (other,)
    )
    stranger = Store(engine.database, workspace=other)
    assert await stranger.claim_replan("stranger", tools=TOOLS, lease_seconds=30) is None
    claim = await claimed(engine)
    assert await stranger.replan_context(claim) is None
    assert await stranger.replans(claim.run_id) == []


async def test_what_is_known_of_re_plans_goes_with_the_run(engine: Engine) -> None:
    run = await started(engine, CHAIN)
    await engine.drain(but("b"))
    await replaced(engine, await claimed(engine), {"id": "b"})
    await engine.drain(but())
    await engine.jump(3600)
    await engine.store.prune(older_than_seconds=60)
    row = await engine.database.fetch_one(
        b"""select (select count(*) from flowbuilder.replans) as replans,
                  (select count(*) from flowbuilder.flow_versions where origin = 'run') as versions,
                  (select count(*) from flowbuilder.version_steps) as steps"""
    )
    assert row == {"replans": 0, "versions": 0, "steps": 3}, run


async def test_who_does_not_know_the_failed_tool_leaves_it_to_others(engine: Engine) -> None:
    await started(engine, CHAIN)
    await engine.drain(but("b"))
    for tools in ((), ("other", "work@1", "wor")):
        assert await engine.store.claim_replan("no", tools=tools, lease_seconds=30) is None
    assert (await claimed(engine)).number == 1


async def test_a_plan_that_is_still_being_written_is_waited_for(engine: Engine) -> None:
    run = await started(engine, CHAIN)
    await engine.store.hold_run(run, owner="early:1", seconds=60)
    await engine.drain(but("b"))
    assert await engine.store.claim_replan("one", tools=TOOLS, lease_seconds=30) is None
    await engine.store.release_hold(run, owner="early:1")
    assert (await claimed(engine)).run_id == run


async def test_a_step_behind_the_failed_one_may_be_added_meanwhile(engine: Engine) -> None:
    run = await started(engine, CHAIN)
    await engine.drain(but("b"))
    claim = await claimed(engine)
    context = await known(engine, claim)
    await grow(engine, run, {"id": "d", "args": {"x": "${{ steps.b.n }}"}})
    await engine.consistent()
    with pytest.raises(Conflict):  # it had not heard of d
        await replaced(engine, claim, {"id": "b"}, context=context)
    await replaced(engine, claim, {"id": "b", "args": {"x": "${{ steps.a.n }}"}})
    await engine.consistent()
    assert [task.step_id for task in await engine.drain(but())] == ["b", "c", "d"]
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()
