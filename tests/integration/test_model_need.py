"""Steps that need a language model where none is set: told beforehand, refused, or explained."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.cli.output import Printer
from flowbuilder.cli.watching import Watch
from flowbuilder.client import FlowBuilder
from flowbuilder.client.checking import check_text
from flowbuilder.errors import Severity
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry

GOAL = "Read notes.txt and translate it to German"
FLOW: dict[str, Any] = {
    "flow": "asking",
    "steps": [
        {"id": "name", "tool": "text.template", "args": {"template": "a word"}},
        {"id": "ask", "tool": "llm.generate", "args": {"prompt": "Say ${{ steps.name.text }}"}},
    ],
}


def settings_of(dsn: str, **given: Any) -> Settings:
    return Settings(database_url=SecretStr(dsn), **given)


def test_validation_of_a_file_warns_of_it() -> None:
    registry = load_registry(Settings(), [])
    flow, found = check_text(json.dumps(FLOW), "asking.json", registry, Settings())
    assert flow is not None
    [told] = [item for item in found if item.code == "model_missing"]
    assert (told.pointer, told.severity) == ("/steps/1/tool", Severity.WARNING)
    assert "ask (llm.generate) needs a language model" in told.message
    assert "FLOWBUILDER_MODEL" in (told.hint or "")
    assert "--local-model" in (told.hint or "")
    _, none = check_text(json.dumps(FLOW), "x.json", registry, Settings(model="openai/x"))
    assert "model_missing" not in {item.code for item in none}


async def test_a_plan_says_it_and_is_not_certain(dsn: str) -> None:
    async with FlowBuilder.connect(settings=settings_of(dsn), worker=False) as builder:
        plan = await builder.plan(GOAL)
        assert (plan.valid, plan.certain) == (True, False)
        [told] = [item for item in plan.problems if item.code == "model_missing"]
        assert plan.flow is not None
        assert plan.flow.steps[int(told.pointer.split("/")[2])].tool == "llm.generate"
        reviewed = await builder.review(plan.id)
        assert "model_missing" in {item.code for item in reviewed.problems}
        edited = await plan.edit("change German to French")
        assert [item.code for item in edited.problems].count("model_missing") == 1
        assert not edited.certain
        plain = await builder.plan("Read notes.txt and save it as copy.txt")
        assert "model_missing" not in {item.code for item in plain.problems}


async def test_an_edit_warns_of_what_it_brings_alone(dsn: str) -> None:
    async with FlowBuilder.connect(settings=settings_of(dsn), worker=False) as builder:
        await builder.save_flow(FLOW)
        made = await builder.edit("asking", "change a word to two words")
        assert "model_missing" not in {item.code for item in made.problems}


async def test_whoever_watches_is_told_why_nothing_happens(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FlowBuilder.connect(settings=settings_of(dsn), worker=True) as builder:
        run = await builder.execute(FLOW)
        watch = Watch(builder, Printer(as_json=False), run, patience=0.02)
        watching = asyncio.create_task(watch.to_end())
        told = ""
        async with asyncio.timeout(60):
            while "no_worker_with_tool" not in told:
                await asyncio.sleep(0.02)
                told += capsys.readouterr().out
        assert "No live worker has the tool llm.generate" in " ".join(told.split())
        await run.cancel()
        await watching
        told += capsys.readouterr().out
        assert told.count("no_worker_with_tool") == 1  # each reason once


@pytest.mark.parametrize("target", [GOAL, "asking.json"])
def test_a_run_that_nobody_could_end_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "notes.txt").write_text("one two")
    (tmp_path / "asking.json").write_text(json.dumps(FLOW))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FLOWBUILDER_")}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flowbuilder.cli", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={**kept, "FLOWBUILDER_DATA_DIR": str(tmp_path / "data")},
        )

    done = call("run", target, "--yes")
    assert done.returncode == 1, done.stdout + done.stderr
    [error] = [
        line["error"]
        for line in map(json.loads, done.stdout.splitlines())
        if line.get("type") == "error"
    ]
    assert error["code"] == "model_not_configured"
    assert "FLOWBUILDER_MODEL" in error["hint"]
    assert "--local-model" in error["hint"]
    assert call("runs").stdout == ""
