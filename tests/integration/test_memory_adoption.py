"""Rules are adopted only if no suite gets worse by them; the commands of `flowbuilder memory`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowbuilder import FlowBuilder, Settings
from flowbuilder.cli.app import app
from flowbuilder.evals.adoption import try_rules
from flowbuilder.evals.loading import parse_suite
from flowbuilder.planner.base import PlanEvent, PlanRequest
from flowbuilder.planner.rules import RulePlanner

CASE = {
    "name": "copy",
    "goal": "Read notes.txt and save it as copy.txt",
    "files": {"notes.txt": "0\n"},
    "expect": {"tools": ["file.read", "file.write"]},
}
GOAL = "Read the file notes.txt and save it as copy.txt"


class Swayed:
    """The rules, until a rule speaks of a tool: then that tool is not there for it."""

    name = "rules"

    def __init__(self, settings: Settings) -> None:
        self._inner = RulePlanner(settings)

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        from dataclasses import replace

        told = " ".join(request.memory.rules)
        left = request.registry.without(lambda tool: tool.name in told)
        async for event in self._inner.stream(replace(request, registry=left)):
            yield event


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "data", workspace_dir=tmp_path, database_url=dsn)


def suite() -> Any:
    return parse_suite(json.dumps({"suite": "tiny", "cases": [CASE]}), "t.json", Path())


async def test_a_rule_that_makes_a_suite_worse_does_not_pass(settings: Settings) -> None:
    worse = await try_rules(
        suite(), settings, lambda: Swayed(settings), ("file.write has failed (gone).",)
    )
    assert not worse.passed and worse.scores["passed"].after == 0.0
    same = await try_rules(
        suite(), settings, lambda: Swayed(settings), ("mail.send has failed (gone).",)
    )
    assert same.passed and same.scores["passed"].after == 1.0


async def _fail_once(settings: Settings) -> str:
    """Let a plan fail because somebody says no; return the lesson's id."""
    async with FlowBuilder.connect(settings=settings, worker=True) as fb:
        run = await fb.accept_plan(await fb.plan(GOAL))
        async for event in run.events():
            if event.type == "approval_requested":
                await fb.reject(str(event.data["approval_id"]), by="user:test")
        [lesson] = await fb.memory.lessons()
        return lesson.id


def test_the_commands_list_show_adopt_and_forget(
    settings: Settings, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("0\n")
    lesson = asyncio.run(_fail_once(settings))
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps({"suite": "tiny", "cases": [CASE]}))
    monkeypatch.setenv("FLOWBUILDER_DATABASE_URL", dsn)

    def command(*words: str, code: int = 0) -> list[dict[str, Any]]:
        line = ["--json", "--database-url", dsn, "--data-dir", str(tmp_path / "data"), *words]
        result = CliRunner().invoke(app, line)
        assert result.exit_code == code, result.output
        return [json.loads(item) for item in result.stdout.splitlines() if item.startswith("{")]

    [memory] = command("memory", "list")
    assert memory["goal"] == GOAL and memory["outcome"] == "failed"
    [shown] = command("memory", "show", memory["id"])
    assert shown == memory
    [pattern] = command("memory", "patterns")
    assert pattern["tools"] == ["file.read", "file.write"] and pattern["rejected"] == 1
    [told] = command("memory", "lessons")
    assert told["id"] == lesson and told["status"] == "candidate"
    assert told["rule"].startswith("People have refused file.write")
    [*_, adopted] = command("memory", "adopt", lesson, "--suite", str(file))
    assert adopted["status"] == "adopted" and adopted["suite"] == "tiny"
    assert adopted["comparison"]["passed"] is True
    command("memory", "adopt", "nobody", "--suite", str(file), code=1)
    command("memory", "forget", code=2)
    assert command("memory", "forget", memory["id"]) == [{"type": "forgotten", "memories": 1}]
    assert command("memory", "lessons")[0]["runs"] == 0  # what was decided stands
    command("memory", "show", memory["id"], code=1)
    assert command("memory", "forget", "--all") == [{"type": "forgotten", "memories": 0}]
    assert command("memory", "lessons") == []
