"""The restore drill: a copy made with runs in flight is restored elsewhere, and everything ends."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from flowbuilder.client import FlowBuilder
from flowbuilder.doctor import examine
from flowbuilder.executor.cluster import find_binaries
from flowbuilder.executor.database import Database
from flowbuilder.secrecy.envelope import unseal
from flowbuilder.secrecy.keyring import add_key, load_keys
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool
from tests.support.api import ECHO, GATED, INPUT, ask, echo, length
from tests.support.engine import Engine
from tests.support.waiting import eventually

VALUE = "a-value-that-stays-secret"
QUICK: dict[str, Any] = {"flow": "quick", "input": INPUT, "steps": [ECHO]}
LONG: dict[str, Any] = {
    "flow": "long",
    "input": INPUT,
    "steps": [
        {"id": "open", "tool": "test.secret", "args": {}},
        {"id": "echo", "tool": "test.echo", "args": {"value": "${{ input.value }}"}},
        {"id": "after", "tool": "test.echo", "args": {"value": "${{ steps.echo }}"}},
    ],
}


@tool("test.secret")
def secret() -> int:
    """Do nothing that could be lost."""
    return 1


def registry() -> ToolRegistry:
    return ToolRegistry([ask, echo, length, secret])


def settings_of(dsn: str, keys: Path) -> Settings:
    return Settings(
        database_url=SecretStr(dsn), secret_key_file=keys, auth="local", poll_interval="200ms"
    )


def opened(dsn: str, keys: Path, *, worker: bool) -> FlowBuilder:
    return FlowBuilder.connect(settings=settings_of(dsn, keys), registry=registry(), worker=worker)


async def in_flight(dsn: str, keys: Path) -> dict[str, str]:
    """Leave one run of each kind behind: ended, waiting for a person, under way, not begun."""
    ids: dict[str, str] = {}
    async with opened(dsn, keys, worker=True) as builder:
        await builder.secrets.set("mail", VALUE, hosts=["mail.example"])
        done = await builder.execute(QUICK, {"value": [0, False, "", None]})
        await done.result(timeout=60)
        gated = await builder.execute(
            {"flow": "gated", "input": INPUT, "steps": [ECHO, GATED]}, {"value": 0}
        )
        async for event in gated.events():
            if event.type == "approval_requested":
                break
        ids.update(done=done.id, gated=gated.id)
    async with opened(dsn, keys, worker=False) as builder:
        ids["under_way"] = (await builder.execute(LONG, {"value": "x"})).id
        # a worker of the original takes a part of it and is never heard of again
        engine = Engine(builder.store.database, registry())
        await engine.join()
        leased = (await engine.exchange(free=1)).tasks
        assert [task.run_id for task in leased] == [ids["under_way"]]
        ids["queued"] = (await builder.execute(QUICK, {"value": 2})).id
    return ids


def copy(dsn: str, target: str, file: Path) -> None:
    """Dump one database and restore it into another, as docs/operations.md says."""
    run = subprocess.run
    folder = find_binaries()
    dumped = run(
        [str(folder / "pg_dump"), "-Fc", "-d", dsn, "-f", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert dumped.returncode == 0, dumped.stderr
    assert VALUE.encode() not in file.read_bytes()
    restored = run(
        [str(folder / "pg_restore"), "--no-owner", "--exit-on-error", "-d", target, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert restored.returncode == 0, restored.stderr


async def counts(database: Database) -> dict[str, int]:
    rows = await database.fetch_all(
        b"select status, count(*) as n from flowbuilder.runs group by status"
    )
    return {row["status"]: row["n"] for row in rows}


async def test_everything_goes_on_in_the_copy(dsn: str, empty_dsn: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    add_key(keys)
    ids = await in_flight(dsn, keys)
    await asyncio.to_thread(copy, dsn, empty_dsn, tmp_path / "flowbuilder.dump")
    async with await Database.open(dsn) as before, await Database.open(empty_dsn) as after:
        assert await counts(before) == await counts(after)
    async with opened(empty_dsn, keys, worker=True) as builder:
        report = await examine(settings_of(empty_dsn, keys))
        assert report.healthy, report.as_json()
        await ended(builder, ids["queued"])
        # the worker of the original is not there: what it held is taken up again
        await ended(builder, ids["under_way"])
        [approval] = await builder.approvals()
        assert approval.run_id == ids["gated"]
        await builder.approve(approval.id, by="ada")
        gated = await builder.get_run(ids["gated"])
        assert await gated.result(timeout=60) == {"send": [0, 0, False, "", None]}
        done = await builder.get_run(ids["done"])
        assert await done.result() == {"echo": [0, False, "", None]}
        for run_id in ids.values():
            events = await builder.events(run_id)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert [event.type for event in events].count("workflow_completed") == 1
        row = await builder.secrets.get("mail")
        found = unseal(row.envelope, row.place, load_keys(builder.settings))
        assert found == VALUE
    # nothing of it has touched the original
    async with await Database.open(dsn) as before:
        assert (await counts(before))["completed"] == 1


async def ended(builder: FlowBuilder, run_id: str) -> None:
    async def over() -> bool:
        await builder.store.tick()
        await Engine(builder.store.database).jump(2)
        return (await builder.get_run(run_id)).row.status.terminal

    await eventually(over)
    assert (await builder.get_run(run_id)).row.status.value == "completed"
