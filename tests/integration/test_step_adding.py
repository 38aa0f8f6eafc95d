"""`flowbuilder add-step`: to the draft of a flow, and to a run that is under way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flowbuilder import FlowBuilder, Settings
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist

WAIT = 60.0
NOBODY = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)


def said(dsn: str, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """Call the command in JSON mode and return its lines."""
    line = hoist(["--json", "--database-url", dsn, "add-step", *words])
    result: Result = CliRunner().invoke(app, line)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return [json.loads(text) for text in result.stdout.splitlines()]


def test_a_draft_is_made_and_grown(dsn: str, settings: Settings) -> None:
    (made,) = said(
        dsn, "greet", "say", "--tool", "text.template", "--args",
        '{"template": "Hello {{ n }}", "values": {"n": 0}}', "--create",
    )  # fmt: skip
    assert (made["type"], made["step"], made["flow"]["slug"]) == ("step_added", "say", "greet")
    (more,) = said(
        dsn, "greet", "count", "--tool", "text.stats", "--for-each", '["", "a"]', "--depends-on",
        "say", "--when", "size(steps.say.text) > 0", "--args", '{"text": "${{ item }}"}', "--with",
        '{"retry": {"max_attempts": 2}, "concurrency": 1, "on_error": "skip"}', "--create",
    )  # fmt: skip
    assert more["flow"]["draft"]["steps"][1] == {
        "id": "count",
        "tool": "text.stats",
        "args": {"text": "${{ item }}"},
        "depends_on": ["say"],
        "for_each": ["", "a"],
        "when": "size(steps.say.text) > 0",
        "retry": {"max_attempts": 2},
        "concurrency": 1,
        "on_error": "skip",
    }

    async def run() -> Any:
        async with FlowBuilder.connect(dsn, settings=settings, worker=True) as fb:
            return await (await fb.execute("greet")).result(timeout=WAIT)

    assert [one["characters"] for one in asyncio.run(run())["count"]] == [0, 1]


def test_a_live_run_gets_a_step(dsn: str, settings: Settings) -> None:
    steps = [{"id": "first", "tool": "text.stats", "args": {"text": "a"}}]

    async def start() -> str:
        async with FlowBuilder.connect(dsn, settings=settings, worker=False) as fb:
            return str((await fb.execute({"flow": "grows", "steps": steps})).id)

    async def end(run_id: str) -> Any:
        async with FlowBuilder.connect(dsn, settings=settings, worker=True) as fb:
            return await (await fb.get_run(run_id)).result(timeout=WAIT)

    run_id = asyncio.run(start())
    (grown,) = said(dsn, run_id.upper(), "note", "--tool", "text.stats", "--args", '{"text": ""}')
    assert (grown["run_id"], grown["step"], grown["version"]["origin"]) == (run_id, "note", "run")
    assert asyncio.run(end(run_id))["note"]["characters"] == 0
    (over,) = said(dsn, run_id, "late", "--tool", "text.stats", code=1)
    assert over["error"]["code"] == "invalid_transition"


@pytest.mark.parametrize(
    ("words", "code", "said_code"),
    [
        (["none", "a", "--tool", "text.stats"], 1, "flow_not_found"),
        ([NOBODY, "a", "--tool", "text.stats"], 1, "run_not_found"),
        ([NOBODY, "a", "--tool", "text.stats", "--create"], 2, "usage"),
        (["new", "a", "--tool", "no.tool", "--create"], 1, "definition_invalid"),
        (
            ["new", "a", "--tool", "text.stats", "--args", "[1]", "--create"],
            1,
            "definition_invalid",
        ),
        (["new", "a", "--tool", "text.stats", "--args", "NaN"], 2, "usage"),
        (["new", "a", "--tool", "text.stats", "--with", "[]"], 2, "usage"),
        (["new", "a", "--tool", "text.stats", "--with", '{"speed": 1}'], 2, "usage"),
        (["new", "a", "--tool", "text.stats", "--for-each", "@nowhere.json"], 2, "usage"),
        (["Not A Slug", "a", "--tool", "text.stats", "--create"], 1, "definition_invalid"),
    ],
)
def test_what_cannot_be_added_is_said_and_nothing_stored(
    dsn: str, settings: Settings, words: list[str], code: int, said_code: str
) -> None:
    (line,) = said(dsn, *words, code=code)
    assert line["error"]["code"] == said_code

    async def stored() -> list[Any]:
        async with FlowBuilder.connect(dsn, settings=settings, worker=False) as fb:
            return list(await fb.list_flows())

    assert asyncio.run(stored()) == []
