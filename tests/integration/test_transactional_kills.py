"""kill -9 at every point of a transactional tool: its effect is there exactly once, as its task."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flowbuilder.executor import embedded
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import RunRow
from flowbuilder.executor.states import TaskStatus
from flowbuilder.executor.store import Store
from tests.support import transactional_worker as dying
from tests.support.engine import Engine
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]


async def effects(database: Database) -> list[str]:
    """Return whose effects are there."""
    found = await database.fetch_all(b"select key from public.effects order by key")
    return [row["key"].partition(":")[2] for row in found]


async def ended(database: Database, run_id: str) -> RunRow:
    async def has_ended() -> bool:
        return (await Store(database).get_run(run_id)).status.terminal

    await eventually(has_ended, seconds=90, what="the run did not end")
    return await Store(database).get_run(run_id)


@asynccontextmanager
async def worker_process(
    where: str, marker: Path, point: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.transactional_worker",
        where,
        str(marker),
        point,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("point", dying.POINTS)
async def test_killed_at_any_point_the_effect_is_there_exactly_once(
    database: Database, dsn: str, tmp_path: Path, point: str
) -> None:
    await database.execute(dying.EFFECTS)
    marker = tmp_path / "died"
    run_id = await dying.start_run(Store(database), dying.Deaths(marker, point))
    async with worker_process(dsn, marker, point) as first:
        await eventually(marker.exists, what="it did not die")
        if point != "cut":
            assert await first.wait() == -signal.SIGKILL
            await _assert_both_or_neither(database)
            async with worker_process(dsn, marker, point):
                run = await ended(database, run_id)
        else:
            run = await ended(database, run_id)
    assert run.output == 0
    assert await effects(database) == ["last:0", "note:0"]
    engine = Engine(database)
    assert (await engine.trace(run.id)).count("task_completed note") == 1
    await engine.at_rest()


async def _assert_both_or_neither(database: Database) -> None:
    """Assert the effect of each task is there if and only if the task is completed."""
    rows = await database.fetch_all(
        b"select t.status, e.key is not null as there from flowbuilder.tasks t "
        b"left join public.effects e on e.key = t.run_id || ':' || t.step_id || ':0'"
    )
    assert rows
    assert all((row["status"] == TaskStatus.COMPLETED) is row["there"] for row in rows)


@pytest.mark.slow
async def test_the_embedded_server_loses_and_doubles_nothing_either(
    short_dir: Path, tmp_path: Path
) -> None:
    """The only process dies right after its commit, before it can tell anybody."""
    marker, folder = tmp_path / "died", short_dir / "data"
    async with worker_process(str(folder), marker, "committed") as first:
        assert await asyncio.wait_for(first.wait(), 90) == -signal.SIGKILL
    async with worker_process(str(folder), marker, "committed"):
        with await embedded.start_async(folder) as server:
            async with await Database.open(server.dsn) as database:
                run_id = await dying.start_run(Store(database), dying.Deaths(marker, ""))
                assert (await ended(database, run_id)).output == 0
                assert await effects(database) == ["last:0", "note:0"]
    embedded.start(folder).stop()
