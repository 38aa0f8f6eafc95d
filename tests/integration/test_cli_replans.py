"""`run --replan` and `worker --replan`, also after kill -9."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import FlowBuilder, Settings
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Store
from tests.support.engine import Engine
from tests.support.fake_openai import Answer, Hang, fake_openai
from tests.support.waiting import eventually

WAIT = 120
TOOLS = '''
from flowbuilder import tool
from flowbuilder.tools import Fail


@tool("rate.primary", effects="read")
def primary(currency: str) -> float:
    """Return the exchange rate of a currency."""
    raise Fail("out of order", code="out_of_order")


@tool("rate.backup", effects="read")
def backup(currency: str) -> float:
    """Return the exchange rate of a currency from a second service."""
    return 1.5
'''
FLOW: dict[str, Any] = {
    "flow": "rate",
    "steps": [
        {"id": "look", "tool": "rate.primary", "args": {"currency": "EUR"}},
        {"id": "tell", "tool": "text.template",
         "args": {"template": "{{ rate }}", "values": {"rate": "${{ steps.look }}"}}},
    ],
}  # fmt: skip
EDIT = {"tasks": [{"id": "look", "tool": "rate.backup", "args": {"currency": "EUR"}}]}


@pytest.fixture
def environment(dsn: str, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "rates.py").write_text(TOOLS)
    (tmp_path / "rate.json").write_text(json.dumps(FLOW))
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("FLOWBUILDER_")},
        "FLOWBUILDER_DATABASE_URL": dsn,
        "FLOWBUILDER_DATA_DIR": str(tmp_path / "data"),
        "FLOWBUILDER_TOOLS": "rates",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


def flowbuilder(
    environment: dict[str, str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "flowbuilder.cli", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=WAIT,
        cwd=folder,
        env=environment,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_a_run_is_planned_anew_and_the_change_is_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = flowbuilder(environment, tmp_path, "run", "rate.json", "--replan", "--no-json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a new plan for the rest is asked for" in done.stdout
    assert "~ look (rate.primary → rate.backup)" in done.stdout
    done = flowbuilder(environment, tmp_path, "run", "rate.json", "--replan", "--json")
    types = [json.loads(line).get("type") for line in done.stdout.splitlines()]
    assert types.count("plan_repaired") == types.count("workflow_replanning") == 1
    done = flowbuilder(environment, tmp_path, "run", "rate.json", "--no-json")
    assert done.returncode == 1
    assert "out of order" in done.stdout + done.stderr
    assert "new plan" not in done.stdout + done.stderr


def test_why_there_is_no_new_plan_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    environment["FLOWBUILDER_REPLAN"] = "true"
    (tmp_path / "rates.py").write_text(TOOLS.split('@tool("rate.backup"')[0])
    done = flowbuilder(environment, tmp_path, "run", "rate.json", "--no-json")
    assert done.returncode == 1
    assert "no new plan: no other tool does what rate.primary does" in done.stdout + done.stderr


async def test_a_re_planner_that_is_killed_is_followed_by_another_one(
    environment: dict[str, str], tmp_path: Path, dsn: str
) -> None:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    with fake_openai(Hang(), Answer(json.dumps(EDIT))) as server:
        environment["FLOWBUILDER_MODEL"] = "openai/fake"
        environment["FLOWBUILDER_MODEL_API_BASE"] = server.url
        async with FlowBuilder.connect(dsn, settings=settings, worker=False) as builder:
            store = builder.store
            first = await _worker(environment, tmp_path)
            run_id = await _start(environment, tmp_path)

            async def is_asked() -> bool:
                return bool(server.requests) and len(await store.replans(run_id)) == 1

            try:
                await eventually(is_asked, seconds=WAIT)
            finally:
                first.kill()
                await first.wait()
            assert (await store.get_run(run_id)).status is RunStatus.RUNNING
            await Engine(store.database).jump(31)
            second = await _worker(environment, tmp_path)
            try:
                await _ended(store, run_id)
            finally:
                second.terminate()
                await second.wait()
            row = await store.get_run(run_id)
            assert (row.status, row.output) == (RunStatus.COMPLETED, {"tell": {"text": "1.5"}})
            [replan] = await store.replans(run_id)
            assert (replan.status, replan.tries) == ("done", 2)
            assert replan.usage is not None
            assert replan.usage["prompt_tokens"] == 100
            await Engine(store.database).trace(run_id)


async def _worker(environment: dict[str, str], folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flowbuilder.cli", "worker", "--replan",
        cwd=folder, env=environment, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def _start(environment: dict[str, str], folder: Path) -> str:
    """Start the run and leave it to others; return its id."""
    code = (
        "import asyncio, json\n"
        "from flowbuilder import FlowBuilder\n"
        "async def main():\n"
        "    async with FlowBuilder.connect(worker=False) as builder:\n"
        "        document = json.load(open('rate.json'))\n"
        "        print((await builder.execute(document, replan=True)).id)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()


async def _ended(store: Store, run_id: str) -> None:
    async def has_ended() -> bool:
        return (await store.get_run(run_id)).status.terminal

    await eventually(has_ended, seconds=WAIT)
