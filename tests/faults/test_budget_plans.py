"""Budgets are looked up by key, however many runs have one or had one."""

from __future__ import annotations

import pytest

from flowbuilder.budget import Budget
from flowbuilder.executor.database import Database
from flowbuilder.executor.terms import Terms
from tests.faults.harness.plans import Read, Watched, watched
from tests.support.engine import Engine, done, flow_of

WARM = 7
MOST_ROWS = 100
_FILL = b"""
insert into flowbuilder.run_budgets (run_id, root_id, open, max_tokens)
select i, i, n > 20000, 5 from (
    select n, (lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000')::uuid as i
    from generate_series(1, 22000) n) g"""
_SPEND = b"""
insert into flowbuilder.spendings (workspace_id, run_id, task_id, tool, tokens)
select (select id from flowbuilder.workspaces limit 1), gen_random_uuid(), n, 'work@1', 5
from generate_series(1, 20000) n"""


async def _round(seen: Watched) -> dict[str, Read]:
    engine, reads = seen.engine, {}
    flow = flow_of(
        {"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "m", "for_each": [1, 2, 3]}
    )
    terms = Terms(budget=Budget(tokens=1000, steps=4))
    run, reads["start"] = await seen.read(engine.start(flow, terms=terms))
    answer, reads["claim"] = await seen.read(engine.exchange())
    reports = [done(task) for task in answer.tasks]
    assert len(reports) == 4
    _, reads["report and stop"] = await seen.read(engine.exchange(reports))
    assert (await engine.run(run)).error is not None
    _, reads["show"] = await seen.read(engine.store.run_budget(run))
    _, reads["history"] = await seen.read(engine.store.tool_history(["work@1"]))
    plain = await engine.start(flow)
    answer, reads["claim of another"] = await seen.read(engine.exchange())
    reports = [done(task) for task in answer.tasks]
    _, reads["report of another"] = await seen.read(engine.exchange(reports))
    await engine.drain(done)
    assert (await engine.run(plain)).error is None
    return reads


@pytest.mark.parametrize("counted", [False, True])
async def test_plans_made_for_no_budgets_are_good_for_many(
    dsn: str, database: Database, counted: bool
) -> None:
    worker = await Engine(database).join()
    async with watched(dsn, worker) as seen:
        for _ in range(WARM):
            await _round(seen)
        for fill in (_FILL, _SPEND):
            await database.execute(fill)
        if counted:
            await database.execute(b"analyze flowbuilder.run_budgets, flowbuilder.spendings")
        for name, read in (await _round(seen)).items():
            most = 400 if name == "history" else MOST_ROWS
            assert read.most_rows() <= most, name
