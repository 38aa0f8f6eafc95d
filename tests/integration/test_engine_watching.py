"""Open runs are watched from the time on when they are a second old, and none is passed by."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.records import DEFAULT_WORKSPACE
from flowbuilder.executor.states import RunStatus
from tests.support.engine import Engine, done, failed, flow_of

FLOW = flow_of({"id": "a"})


@pytest.fixture
async def engine(database: Database) -> Engine:
    engine = Engine(database)
    await engine.join()
    return engine


async def watched(engine: Engine) -> set[str]:
    rows = await engine.database.fetch_all(b"select id from flowbuilder.runs where watched")
    return {str(row["id"]) for row in rows}


async def listed(engine: Engine) -> set[str]:
    rows = await engine.database.fetch_all(
        b"select flowbuilder.open_run_ids(%s) as id", (DEFAULT_WORKSPACE,)
    )
    return {str(row["id"]) for row in rows}


async def beginning(engine: Engine) -> str:
    row = await engine.database.fetch_one(b"select beginning from flowbuilder.watch")
    assert row is not None
    return str(row["beginning"])


async def written(engine: Engine) -> Any:
    return await engine.database.fetch_one(b"select xmin, ctid from flowbuilder.watch")


async def test_a_run_is_watched_when_it_is_a_second_old_until_it_ends(engine: Engine) -> None:
    run = await engine.start(FLOW)
    await engine.store.tick()
    assert (await watched(engine), await listed(engine)) == (set(), {run})
    await engine.jump(2)
    await engine.store.tick()
    assert (await watched(engine), await listed(engine)) == ({run}, {run})
    await engine.drain(done)
    assert (await watched(engine), await listed(engine)) == (set(), set())


@pytest.mark.parametrize("end", [done, failed])
async def test_a_quick_run_never_is(engine: Engine, end: Any) -> None:
    await engine.start(FLOW)
    await engine.drain(end)
    for _ in range(3):
        await engine.jump(2)
        await engine.store.tick()
        assert not await watched(engine)
        assert not await listed(engine)


async def test_one_that_is_due_soon_is_watched_from_its_start(engine: Engine) -> None:
    run = await engine.start(FLOW, timeout_seconds=5)
    assert await watched(engine) == {run}
    await engine.jump(6)
    await engine.store.tick()
    assert (await engine.store.get_run(run)).status is RunStatus.FAILED
    assert not await watched(engine)


async def test_a_run_that_is_committed_late_is_not_passed_by(engine: Engine, dsn: str) -> None:
    await engine.drain(done)
    flow = await engine.start(FLOW)  # also registers the version
    async with await psycopg.AsyncConnection.connect(dsn) as late:
        await late.execute(
            b"select flowbuilder.start_runs(%s, r.version_id, array['{}'::json],"
            b" array[null]::text[], 7200) from flowbuilder.runs r where r.id = %s",
            (DEFAULT_WORKSPACE, flow),
        )
        for _ in range(5):
            await engine.jump(2)
            await engine.store.tick()
        assert await watched(engine) == {flow}
        stands = await beginning(engine)
        await engine.jump(2)
        await engine.store.tick()
        assert await beginning(engine) == stands
    assert len(await listed(engine)) == 2
    await engine.pass_by()
    assert await beginning(engine) > stands
    assert len(await watched(engine)) == 2
    await engine.jump(7200)
    await engine.store.tick()
    assert len(await engine.store.list_runs(status=RunStatus.FAILED)) == 2


async def test_one_that_somebody_has_locked_is_not_passed_by(engine: Engine, dsn: str) -> None:
    run = await engine.start(FLOW)
    async with await psycopg.AsyncConnection.connect(dsn) as busy:
        await busy.execute(b"select from flowbuilder.runs where id = %s for update", (run,))
        for _ in range(4):
            await engine.jump(2)
            await engine.store.tick()
        assert not await watched(engine)
        assert await listed(engine) == {run}
    await engine.pass_by()
    assert await watched(engine) == {run}


async def test_one_that_begins_when_the_clock_was_put_back_is_watched_from_its_start(
    engine: Engine,
) -> None:
    await engine.start(FLOW)
    await engine.jump(200)
    await engine.pass_by()
    await engine.jump(-150)
    run = await engine.start(FLOW)
    assert run in await watched(engine)
    await engine.jump(3600)
    await engine.store.tick()
    assert (await engine.store.get_run(run)).status is RunStatus.FAILED


async def test_more_than_a_round_marks_are_marked_by_the_next(engine: Engine) -> None:
    for _ in range(7):
        await engine.start(FLOW)
    await engine.jump(2)
    row = await engine.database.fetch_one(b"select flowbuilder.watch_runs(5) as more")
    assert row == {"more": True}
    assert (len(await watched(engine)), len(await listed(engine))) == (5, 7)
    row = await engine.database.fetch_one(b"select flowbuilder.watch_runs(5) as more")
    assert row == {"more": False}
    assert (len(await watched(engine)), len(await listed(engine))) == (7, 7)


async def test_of_another_server_what_was_noted_counts_for_nothing(engine: Engine) -> None:
    run = await engine.start(FLOW)
    await engine.jump(2)
    await engine.store.tick()
    await engine.database.execute(b"update flowbuilder.watch set noted = '9000000000000'")
    before = await beginning(engine)
    await engine.pass_by()
    assert await beginning(engine) > before
    assert await watched(engine) == {run}


async def test_nothing_is_written_when_nothing_begins(engine: Engine) -> None:
    await engine.start(FLOW)
    await engine.drain(done)
    await engine.pass_by()
    before = await written(engine)
    for _ in range(3):
        await engine.jump(2)
        await engine.store.tick()
    assert await written(engine) == before
