"""A plan is stored with its whole stream or not at all, whenever the process that made it dies."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from flowbuilder import FlowBuilder, PlanningError, Settings
from flowbuilder.client.planning import checked_goal
from flowbuilder.errors import InvalidValue
from flowbuilder.executor.database import Database
from flowbuilder.executor.store import Store
from flowbuilder.types import JsonObject
from tests.support.waiting import eventually

GOAL = "count the words of 'one two three'"
PLAN: JsonObject = {
    "id": "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11",
    "goal": "g",
    "status": "ready",
}
WRITERS = b"""
    select pid from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
      and query like '%%store_plan%%'"""


@asynccontextmanager
async def planning(dsn: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that plans, killed at the end in the way of kill -9."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flowbuilder.cli", "plan", GOAL,
        cwd=folder,
        env={
            **os.environ,
            "FLOWBUILDER_DATABASE_URL": dsn,
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stored(database: Database) -> list[tuple[int, list[str]]]:
    """Return the last number and the types of events of every plan."""
    rows = await database.fetch_all(
        b"select p.last_seq, array_agg(e.type order by e.seq) as types "
        b"from flowbuilder.plans p left join flowbuilder.events e on e.stream = p.id group by p.id"
    )
    return [(row["last_seq"], row["types"]) for row in rows]


@pytest.mark.parametrize("connection_dies", [True, False])
async def test_a_process_that_is_killed_while_it_stores_leaves_no_half(
    dsn: str, database: Database, tmp_path: Path, connection_dies: bool
) -> None:
    async def writers() -> list[int]:
        return [row["pid"] for row in await database.fetch_all(WRITERS)]

    async def waiting() -> bool:
        return bool(await writers())

    async with await psycopg.AsyncConnection.connect(dsn) as blocking:
        await blocking.execute("lock table flowbuilder.events in exclusive mode")
        async with planning(dsn, tmp_path) as process:
            await eventually(waiting, seconds=60, what="nothing was stored")
            if connection_dies:
                for pid in await writers():
                    await database.execute(b"select pg_terminate_backend(%s)", (pid,))
            process.kill()

    async def gone() -> bool:
        return not await database.fetch_all(
            b"select from pg_stat_activity where query like '%%store_plan%%' "
            b"and pid <> pg_backend_pid() and state = 'active' and datname = current_database()"
        )

    await eventually(gone)
    for last, types in await stored(database):  # the server may have ended what it had begun
        assert (last, types[0], types[-1]) == (len(types), "plan_started", "plan_completed")
    if connection_dies:
        assert await stored(database) == []
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, worker=False) as fb:
        for row in await fb.plans():
            events = [event async for event in fb.follow(row.id)]
            assert events[-1].terminal
        plan = await fb.plan(GOAL)  # and planning goes on
        assert [event.seq async for event in fb.follow(plan.id)][-1] == len(
            await fb.events(plan.id)
        )


async def test_a_plan_and_its_events_are_stored_once(database: Database) -> None:
    store = Store(database)
    odd: JsonObject = {"falsy": [0, False, "", None, [], {}]}
    assert await store.store_plan(PLAN, [("plan_started", odd), ("plan_completed", {})])
    assert not await store.store_plan({**PLAN, "goal": "other"}, [("plan_failed", {})])
    assert await stored(database) == [(2, ["plan_started", "plan_completed"])]
    events = await store.events(str(PLAN["id"]))
    assert [(event.seq, event.data) for event in events] == [(1, odd), (2, {})]
    assert (await store.get_plan(str(PLAN["id"]))).goal == "g"


async def test_a_bad_value_stores_nothing(database: Database) -> None:
    with pytest.raises(InvalidValue):
        await Store(database).store_plan(PLAN, [("plan_started", {}), ("x", {"a": "\0"})])
    assert await stored(database) == []


@pytest.mark.parametrize("goal", ["", "  ", None, 5, ["count"]])
async def test_what_is_no_goal_is_said(dsn: str, tmp_path: Path, goal: str) -> None:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, worker=False) as fb:
        with pytest.raises(PlanningError) as refused:
            await fb.plan(goal)
        assert refused.value.code == "goal_empty"


@pytest.mark.parametrize("run", ["-" * 200, "a-" * 2000, "[" * 300, "é1" * 2000])
async def test_a_goal_with_data_in_it_that_is_no_word_is_refused(
    dsn: str, tmp_path: Path, run: str
) -> None:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, worker=False) as fb:
        with pytest.raises(PlanningError) as refused:
            await fb.plan(f"Read a.csv and {run} it")
        assert refused.value.code == "goal_invalid"
        assert refused.value.hint is not None and "input" in refused.value.hint


def test_a_long_goal_whose_words_no_blanks_part_is_read() -> None:
    goal = "读取文件并发送邮件。" * 500
    assert checked_goal(goal) == goal
