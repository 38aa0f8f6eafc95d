"""A run, its children and its retries have one budget together."""

from __future__ import annotations

import pytest

from flowbuilder.errors import Conflict
from flowbuilder.executor.states import RunStatus
from tests.support.budgeting import CHAIN, error_of, spent, start
from tests.support.engine import Engine, done, failed, flow_of, waiting


async def _parent_and_child(engine: Engine, **bounds: float) -> tuple[str, str]:
    child = await engine.store.register_version(flow_of({"id": "c"}, slug="kid"), engine.registry)
    flow = flow_of({"id": "p", "on_error": "continue"}, {"id": "q", "depends_on": ["p"]})
    run = await start(engine, flow, **bounds)
    (task,) = (await engine.exchange()).tasks
    await engine.exchange(
        [spent(waiting(task, kind="run", version_id=child.id, flow="kid", input={}), 10)]
    )
    await engine.store.tick()
    (kid,) = await engine.store.list_runs(flow="kid")
    return run, kid.id


async def test_children_share_the_budget(engine: Engine) -> None:
    run, kid = await _parent_and_child(engine, tokens=100, steps=3)
    (task,) = (await engine.exchange()).tasks
    assert task.budget == {"tokens": 90, "usd": None}
    await engine.exchange([spent(done(task), 40)])
    await engine.store.tick()
    await engine.drain(lambda task: spent(done(task), 50))
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    for each in (run, kid):
        use = await engine.store.run_budget(each)
        assert use is not None
        assert (use.tokens, use.steps, use.root_run_id) == (100, 3, run)


async def test_a_child_that_goes_over_stops_its_whole_family(engine: Engine) -> None:
    run, kid = await _parent_and_child(engine, tokens=100)
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([spent(done(task), 91)])
    await engine.store.tick()
    assert await engine.drain(done) == []
    for each in (kid, run):
        assert (await error_of(engine, each))["code"] == "budget_exceeded"
    await engine.at_rest()


async def test_nothing_starts_in_a_family_that_is_over(engine: Engine) -> None:
    run, kid = await _parent_and_child(engine, tokens=100)
    await engine.database.execute(
        b"update flowbuilder.run_budgets set tokens = 101 where run_id = %s", (run,)
    )
    assert (await engine.exchange()).tasks == []
    assert "task_started c" not in await engine.trace(kid)
    await engine.store.tick()
    for each in (kid, run):
        assert (await error_of(engine, each))["code"] == "budget_exceeded"
    await engine.at_rest()


async def test_a_retry_goes_on_with_what_is_left(engine: Engine) -> None:
    run = await start(engine, CHAIN, tokens=100, seconds=600)
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([spent(failed(task), 60)])
    await engine.jump(100)  # which nobody is charged for
    again = str((await engine.store.retry_run(run)).run_id)
    (task,) = (await engine.exchange()).tasks
    assert task.budget == {"tokens": 40, "usd": None}
    row = await engine.run(again)
    assert 590 < (row.deadline_at - row.created_at).total_seconds() <= 600
    await engine.exchange([spent(failed(task), 41)])
    assert (await error_of(engine, again))["code"] == "boom"  # which ended it all the same
    with pytest.raises(Conflict) as refused:
        await engine.store.retry_run(again)
    assert refused.value.code == "budget_exceeded"
    assert "101 of at most 100 tokens" in refused.value.message
