"""Hard budgets: what is spent is written with outcomes, and what goes beyond ends the run."""

from __future__ import annotations

import asyncio

import pytest

from flowbuilder.budget import Budget, Spending
from flowbuilder.errors import Conflict, NotFound
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.types import JsonObject
from tests.support.budgeting import CHAIN, error_of, spent, start
from tests.support.engine import Engine, done, failed, flow_of, retry, waiting
from tests.support.limiting import SEEN, limit, recount, take

_OPEN = b"select count(*) as n from flowbuilder.run_budgets where open"
_ROWS = b"""
select (select count(*) from flowbuilder.run_budgets) as budgets,
       (select count(*) from flowbuilder.spendings) as spendings"""


async def test_a_run_within_its_budget_completes_and_says_what_it_spent(engine: Engine) -> None:
    run = await start(engine, CHAIN, tokens=300, usd=1.0, steps=3)
    await engine.drain(lambda task: spent(done(task), 100, 0.25))
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    use = await engine.store.run_budget(run)
    assert use is not None
    assert (use.tokens, use.usd, use.steps, use.replans) == (300, 0.75, 3, 0)
    assert use.budget == Budget(tokens=300, usd=1.0, steps=3)
    assert use.root_run_id == run
    await engine.at_rest()


async def test_beyond_its_tokens_a_run_fails_and_nothing_starts(engine: Engine) -> None:
    run = await start(engine, CHAIN, tokens=150)
    seen = await engine.drain(lambda task: spent(done(task), 100))
    assert [task.step_id for task in seen] == ["a", "b"]
    assert await error_of(engine, run) == {
        "code": "budget_exceeded", "budget": "tokens", "spent": 200, "limit": 150,
        "message": "over budget: 200 of at most 150 tokens are spent",
    }  # fmt: skip
    assert await engine.trace(run) == [
        "workflow_started", "task_started a", "task_completed a", "task_started b",
        "task_completed b", "workflow_failed",
    ]  # fmt: skip
    await engine.at_rest()


async def test_a_last_step_that_goes_over_fails_the_run_too(engine: Engine) -> None:
    run = await start(engine, flow_of({"id": "a"}), tokens=0)
    await engine.drain(lambda task: spent(done(task, "kept"), 1))
    assert (await error_of(engine, run))["spent"] == 1
    (step,) = await engine.store.run_steps(run)
    assert (step.status.value, step.output) == ("completed", "kept")
    await engine.at_rest()


@pytest.mark.parametrize("output", [None, {"x": "${{ steps.a }}"}])
async def test_money_stops_a_run_with_an_output_as_well(
    engine: Engine, output: JsonObject | None
) -> None:
    run = await start(engine, flow_of({"id": "a"}, output=output), usd=0.1)
    await engine.drain(lambda task: spent(done(task), 10, 0.11))
    error = await error_of(engine, run)
    assert (error["budget"], error["spent"], error["limit"]) == ("usd", 0.11, 0.1)
    await engine.at_rest()


async def test_tokens_of_unknown_price_are_not_money(engine: Engine) -> None:
    run = await start(engine, flow_of({"id": "a"}), usd=0)
    await engine.drain(lambda task: spent(done(task), 10, None))
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    use = await engine.store.run_budget(run)
    assert use is not None
    assert (use.usd, use.unpriced_tokens) == (None, 10)


async def test_failed_and_repeated_attempts_are_paid_too(engine: Engine) -> None:
    run = await start(engine, flow_of({"id": "a", "retry": {"max_attempts": 5}}), tokens=250)
    seen = await engine.drain(lambda task: spent(retry(task), 100))
    assert len(seen) == 3
    assert (await error_of(engine, run))["spent"] == 300
    await engine.at_rest()


async def test_a_fenced_worker_spends_nothing_in_the_books(engine: Engine) -> None:
    run = await start(engine, flow_of({"id": "a"}), tokens=50)
    (lost,) = (await engine.exchange()).tasks
    await engine.jump(60)
    other = await engine.join()
    await engine.store.tick()
    (again,) = (await engine.exchange()).tasks
    assert again.task_id == lost.task_id
    answer = await engine.exchange([spent(done(lost), 1000)], held=[again])
    assert [verdict.value for verdict in answer.verdicts.values()] == ["fenced"]
    engine.worker = other
    for _ in range(2):  # the same report again counts once
        await engine.exchange([spent(done(again), 50)])
    use = await engine.store.run_budget(run)
    assert use is not None
    assert use.tokens == 50
    assert (await engine.run(run)).status is RunStatus.COMPLETED


async def test_no_more_steps_start_than_the_budget_has(engine: Engine) -> None:
    flow = flow_of({"id": "m", "for_each": list(range(20))})
    run = await start(engine, flow, steps=7)
    seen = await engine.drain(done)
    assert len(seen) == 7
    error = await error_of(engine, run)
    assert (error["budget"], error["spent"], error["limit"]) == ("steps", 7, 7)
    started = [text for text in await engine.trace(run) if text.startswith("task_started")]
    assert len(started) == 7
    await engine.at_rest()


async def test_what_goes_back_holds_no_place_of_a_limit(engine: Engine) -> None:
    await limit(engine, "work", concurrency=5)
    run = await start(engine, flow_of({"id": "m", "for_each": list(range(9))}), steps=2)
    tasks = await take(engine)
    assert len(tasks) == 2
    await recount(engine)
    for _ in range(2):  # what went back comes again, and goes back again
        await engine.jump(31)
        await engine.database.execute(SEEN)
        await engine.store.tick(engine.worker)
        assert await take(engine) == []
        await recount(engine, swept=False)
    (first, second) = tasks
    await take(engine, [done(first)])
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await take(engine, [done(second)])
    assert (await error_of(engine, run))["budget"] == "steps"
    await engine.store.tick(engine.worker)
    await engine.at_rest()


async def test_no_step_at_all_may_start(engine: Engine) -> None:
    run = await start(engine, CHAIN, steps=0)
    assert await engine.drain(done) == []
    assert await engine.trace(run) == ["workflow_started", "workflow_failed"]
    await engine.at_rest()


async def test_waiting_and_retries_cost_no_further_step(engine: Engine) -> None:
    run = await start(engine, flow_of({"id": "a"}), steps=1)
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([retry(task)])
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([waiting(task, kind="time", seconds=5)])
    await engine.jump(6)
    await engine.store.tick()
    assert (await engine.run(run)).status is RunStatus.COMPLETED


async def test_time_that_is_over_is_the_budgets_fault(engine: Engine) -> None:
    run = await start(engine, CHAIN, seconds=60)
    await engine.exchange()
    await engine.jump(61)
    await engine.join()
    await engine.store.tick()
    error = await error_of(engine, run)
    assert (error["code"], error["budget"], error["limit"]) == ("budget_exceeded", "seconds", 60)
    await engine.at_rest()


async def test_an_earlier_deadline_is_a_deadline(engine: Engine) -> None:
    terms = Terms(budget=Budget(seconds=600))
    run = await engine.start(CHAIN, terms=terms, timeout_seconds=60)
    await engine.jump(61)
    await engine.store.tick()
    assert (await error_of(engine, run))["code"] == "deadline_exceeded"


async def test_a_step_that_would_go_over_ends_the_run_whatever_on_error_says(
    engine: Engine,
) -> None:
    flow = flow_of({"id": "a", "on_error": "continue"}, {"id": "b", "depends_on": ["a"]})
    run = await start(engine, flow, tokens=10)
    seen = await engine.drain(lambda task: failed(task, "budget_exceeded"))
    assert [task.step_id for task in seen] == ["a"]
    error = await error_of(engine, run)
    assert (error["code"], error["step"]) == ("budget_exceeded", "a")
    await engine.at_rest()


async def test_many_elements_at_once_overspend_no_more_than_was_under_way(
    engine: Engine,
) -> None:
    flow = flow_of({"id": "m", "for_each": list(range(200))})
    run = await start(engine, flow, tokens=1000)
    workers = [engine.worker, *[await engine.join() for _ in range(3)]]
    most = 4

    async def work(worker: str) -> None:
        outcomes: list[Outcome] = []
        rounds = 0
        while rounds < 100:
            answer = await engine.store.exchange(
                worker, held=None, outcomes=outcomes, free=most, lease_seconds=30
            )
            outcomes = [spent(done(task), 100) for task in answer.tasks]
            rounds += bool(outcomes)  # who finds everything in the others' hands looks again
            if (await engine.run(run)).status.terminal:
                return
        raise AssertionError("it goes on")

    await asyncio.gather(*map(work, workers))
    assert (await error_of(engine, run))["budget"] == "tokens"
    use = await engine.store.run_budget(run)
    assert use is not None
    assert 1000 < use.tokens <= 1000 + 100 * most * len(workers)
    await engine.store.tick()
    await engine.at_rest()


async def test_what_was_done_is_undone_when_the_budget_is_over(engine: Engine) -> None:
    flow = flow_of(
        {"id": "a", "compensate": {"tool": "other"}},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c", "depends_on": ["b"]},
    )
    run = await start(engine, flow, tokens=150)
    seen = await engine.drain(lambda task: spent(done(task), 100))
    assert [task.step_id for task in seen] == ["a", "b", "compensate:a"]
    error = await error_of(engine, run)
    assert (error["code"], error["compensated"]) == ("budget_exceeded", ["a"])
    await engine.at_rest()


async def test_a_paused_run_that_goes_over_fails(engine: Engine) -> None:
    run = await start(engine, CHAIN, tokens=10)
    (task,) = (await engine.exchange()).tasks
    await engine.store.pause_run(run)
    await engine.exchange([spent(done(task), 11)])
    assert (await error_of(engine, run))["spent"] == 11
    await engine.at_rest()


# -- beside tasks ---------------------------------------------------------------------------


async def test_planning_and_re_plans_count(engine: Engine) -> None:
    terms = Terms(budget=Budget(tokens=100, replans=1), spent=Spending.of(30, 0.5))
    run = await engine.start(CHAIN, terms=terms)
    store = engine.store
    assert await store.spend_budget(run, Spending.of(20, None), replans=1)
    use = await store.run_budget(run)
    assert use is not None
    assert (use.tokens, use.usd, use.replans) == (50, 0.5, 1)
    with pytest.raises(Conflict) as refused:
        await store.spend_budget(run, Spending.of(5, None), replans=1)
    assert refused.value.code == "budget_exceeded"
    after = await store.run_budget(run)
    assert after is not None
    assert (after.tokens, after.usd, after.replans) == (50, 0.5, 1)
    assert await store.spend_budget(run, Spending.of(51, None))
    assert (await error_of(engine, run))["spent"] == 101
    await engine.at_rest()


async def test_a_run_without_a_budget_has_no_row(engine: Engine) -> None:
    run = await engine.start(CHAIN)
    (task,) = (await engine.exchange()).tasks
    assert task.budget is None
    await engine.exchange([spent(done(task), 10)])
    assert await engine.store.run_budget(run) is None
    assert not await engine.store.spend_budget(run, Spending.of(5, None))
    assert await engine.database.fetch_one(_ROWS) == {"budgets": 0, "spendings": 0}
    with pytest.raises(NotFound):
        await engine.store.spend_budget("00000000-0000-0000-0000-00000000000f")


async def test_why_tells_of_a_budget_that_is_nearly_used_up(engine: Engine) -> None:
    run = await start(engine, CHAIN, tokens=100, steps=10)
    (task,) = (await engine.exchange()).tasks
    codes = [reason.code.value for reason in (await engine.store.why(run)).reasons]
    assert "budget" not in codes
    await engine.exchange([spent(done(task), 80)], free=0)
    found = (await engine.store.why(run)).reasons
    (reason,) = [reason for reason in found if reason.code.value == "budget"]
    assert reason.details == {"budget": "tokens", "spent": 80, "limit": 100}
    assert reason.message.startswith("80 of at most 100 tokens")
    await engine.drain(lambda task: spent(done(task), 30))
    (ended,) = (await engine.store.why(run)).reasons
    assert "110 of at most 100 tokens" in ended.message


async def test_budgets_are_closed_and_pruned_with_their_runs(engine: Engine) -> None:
    await start(engine, CHAIN, tokens=1000)
    assert await engine.database.fetch_one(_OPEN) == {"n": 1}
    await engine.drain(lambda task: spent(done(task), 10))
    assert await engine.database.fetch_one(_OPEN) == {"n": 0}
    await engine.jump(100)
    await engine.store.prune(older_than_seconds=10)
    assert await engine.database.fetch_one(_ROWS) == {"budgets": 0, "spendings": 0}


async def test_the_history_of_tools_is_what_their_calls_took(engine: Engine) -> None:
    for tokens in range(10, 60, 10):
        await start(engine, flow_of({"id": "a"}), tokens=1000)
        (task,) = (await engine.exchange()).tasks
        await engine.jump(tokens / 10)
        await engine.exchange([spent(done(task), tokens, tokens / 100)])
    found = await engine.store.tool_history(["work@1", "other@1"])
    assert set(found) == {"work@1"}
    history = found["work@1"]
    assert (history.calls, history.spent, history.failed) == (5, 5, 0.0)
    assert history.tokens is not None
    assert history.seconds is not None
    assert history.usd is not None
    assert (history.tokens.low, history.tokens.likely, history.tokens.high) == (14, 30, 46)
    assert 3 <= history.seconds.likely < 4
    assert history.usd.likely == pytest.approx(0.3)


def _kinds(tasks: list[LeasedTask]) -> list[str]:
    return [task.kind.value for task in tasks]


async def test_a_map_with_a_condition_counts_its_elements_only(engine: Engine) -> None:
    flow = flow_of({"id": "m", "for_each": [1, 2, 3], "when": "true"})
    run = await start(engine, flow, steps=3)
    seen = await engine.drain(lambda task: task.outcome(OutcomeKind.COMPLETED, output=True))
    assert _kinds(seen) == ["expand", "step", "step", "step"]
    assert (await engine.run(run)).status is RunStatus.COMPLETED
