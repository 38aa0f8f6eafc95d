"""Lists read as much as they show, however long the history is and however rare what they show."""

from __future__ import annotations

import re

import pytest

from flowbuilder.executor import queries
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import DEFAULT_WORKSPACE
from flowbuilder.executor.states import RunStatus
from tests.support.engine import Engine, done, failed, flow_of

#: Completed runs of one flow, all newer than those that are looked for.
HISTORY = 20_000
#: Pages of a list of a few runs, with room for the levels of indexes.
FEW_PAGES = 60
_COMPLETED = b"""
insert into flowbuilder.runs (id, workspace_id, version_id, flow, version, status, input, output,
    remaining_steps, created_at, started_at, finished_at, deadline_at)
select (flowbuilder.new_ids(1, now()))[1], m.workspace_id, m.version_id, 'busy', 1, 'completed',
    'null', '{}', 0, now() + make_interval(secs => n), now(), now(), now() + interval '1 day'
from (select * from flowbuilder.runs limit 1) m, generate_series(1, %s) n
"""
LISTS = [
    (queries.LIST_RUNS, None, None, 7),
    (queries.LIST_RUNS, None, "completed", 7),
    (queries.LIST_RUNS_OF_FLOW, "rare", None, 4),
    (queries.LIST_RUNS_OF_FLOW, "absent", None, 0),
    (queries.LIST_RUNS_OF_FLOW, "rare", "completed", 1),
    (queries.LIST_SETBACKS, None, "failed", 1),
    (queries.LIST_SETBACKS, "rare", "cancelled", 1),
    (queries.LIST_SETBACKS, "busy", "cancelled", 0),
    (queries.LIST_OPEN_RUNS, None, "queued", 1),
    (queries.LIST_OPEN_RUNS, "rare", "paused", 0),
]


@pytest.fixture
async def engine(database: Database) -> Engine:
    engine = Engine(database)
    await engine.join()
    flow = flow_of({"id": "a"}, slug="rare")
    await engine.start(flow)
    await engine.drain(done)
    await engine.start(flow)
    await engine.drain(failed)
    await engine.store.cancel_run(await engine.start(flow))
    await engine.start(flow)
    await database.execute(_COMPLETED, (HISTORY,))
    await database.execute(b"analyze flowbuilder.runs")
    await engine.pass_by()
    return engine


async def test_lists_read_few_pages(engine: Engine) -> None:
    for query, flow, status, count in LISTS:
        explain = b"explain (analyze, buffers, timing off) " + query
        for _ in range(2):  # the first time, functions are planned
            async with engine.database.connection() as connection:
                found = await connection.execute(
                    explain, (DEFAULT_WORKSPACE, flow, status, None, 7)
                )
                rows = await found.fetchall()
        plan = "\n".join(row["QUERY PLAN"] for row in rows)
        [pages] = re.findall(r"Buffers: ([^\n]*)", plan)[:1]
        read = sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", pages))
        assert read < FEW_PAGES, plan
        assert f"rows={count}" in plan.replace(".00", "").splitlines()[0], plan


async def test_each_list_shows_what_it_is_asked_for(engine: Engine) -> None:
    newest = await engine.store.list_runs(limit=3)
    assert [row.flow for row in newest] == ["busy"] * 3
    rare = await engine.store.list_runs(flow="rare")
    assert [row.status.value for row in rare] == ["queued", "cancelled", "failed", "completed"]
    for row in rare:
        assert await engine.store.list_runs(flow="rare", status=row.status) == [row]
        if row.status is not RunStatus.COMPLETED:
            assert await engine.store.list_runs(status=row.status) == [row]
    pages: list[str] = []
    before = None
    while page := await engine.store.list_runs(flow="rare", limit=3, before=before):
        before = page[-1].id
        pages += [row.id for row in page]
    assert pages == [row.id for row in rare]
    assert await engine.store.list_runs(flow="busy", status=RunStatus.FAILED) == []
    assert len(await engine.store.list_runs(flow="busy", status=RunStatus.COMPLETED, limit=9)) == 9
