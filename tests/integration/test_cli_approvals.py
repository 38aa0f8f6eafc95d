"""`flowbuilder approvals`, `approve --edit` and their settings as a person types them."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flowbuilder import FlowBuilder
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.executor.records import RunRow
from flowbuilder.types import JsonObject
from tests.support.api import INPUT


def typed(dsn: str, *words: str, code: int = 0, as_json: bool = True) -> Result:
    line = hoist(["--json" if as_json else "--no-json", "--database-url", dsn, *words])
    result: Result = CliRunner().invoke(app, line, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == code, (result.output, result.exception)
    return result


def said(dsn: str, *words: str, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(text) for text in typed(dsn, *words, code=code).stdout.splitlines()]


def asked(dsn: str, gated: JsonObject) -> str:
    """Start a run and wait until it asks; returns its id."""

    async def start() -> str:
        async with FlowBuilder.connect(dsn, worker=True) as builder:
            document: JsonObject = {"flow": "ask", "input": INPUT, "steps": [gated]}
            run = await builder.execute(document, {"value": 0})
            async for event in run.events():
                if event.type == "approval_requested":
                    break
            return run.id

    return asyncio.run(start())


def carried_out(dsn: str, run_id: str) -> RunRow:
    """Let a run go on to its end."""

    async def work() -> RunRow:
        async with FlowBuilder.connect(dsn, worker=True) as builder:
            run = await builder.get_run(run_id)
            await run.result(timeout=60)
            return run.row

    return asyncio.run(work())


SEND: JsonObject = {
    "id": "send",
    "tool": "text.template",
    "args": {
        "template": "To {{ to }}",
        "values": {"to": "ada\u202e@ex\u0430mple.org", "zero": 0, "none": None},
    },
    "approval": {"by": ["user:ada"], "message": "Send\u200b it?"},
}


def test_one_sees_what_one_may_decide_and_one_whole(dsn: str) -> None:
    asked(dsn, SEND)
    [row] = said(dsn, "approvals", "--mine", "--by", "ada")
    assert said(dsn, "approvals", "--mine", "--by", "user:bob") == []
    assert said(dsn, "approvals", "--mine", "--by", "mcp") == []
    [whole] = said(dsn, "approvals", row["id"])
    assert whole["args"] == SEND["args"]
    line = next(one for one in whole["shown"] if one["pointer"] == "/values/to")
    assert "\u27e8U+202E\u27e9" in line["text"]
    assert any("looks like example.org" in mark for mark in line["marks"])
    text = typed(dsn, "approvals", row["id"], as_json=False).stdout
    assert "\u202e" not in text and "\u200b" not in text
    assert "\u27e8U+202E\u27e9" in text and "Send\u27e8U+200B\u27e9 it?" in text
    assert "looks like example.org" in text and whole["args_hash"] in text
    for words in (["--mine", "--all"], ["--by", "ada"]):
        typed(dsn, "approvals", *words, code=2)
    [gone] = said(dsn, "approvals", "00000000-0000-0000-0000-000000000000", code=1)
    assert gone["error"]["code"] == "approval_not_found"


def test_arguments_are_changed_in_an_editor(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = asked(dsn, SEND)
    [row] = said(dsn, "approvals")
    script, text = tmp_path / "editor", tmp_path / "text"
    script.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/seen\ncat {text} > "$1"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    for wrong, code in (("[]", 2), ("{", 2), ('{"nope": 1}', 1)):
        text.write_text(wrong)
        failed = typed(dsn, "approve", row["id"], "--by", "ada", "--edit", code=code)
        assert "Traceback" not in failed.output
    seen = (tmp_path / "seen").read_text()
    assert seen.isascii()
    assert json.loads(seen) == row["args"]
    assert said(dsn, "approvals")[0]["votes"] == []
    edited: JsonObject = {"template": "{{ to }}!", "values": {"to": "0", "no": False}}
    text.write_text(json.dumps(edited))
    [done] = said(dsn, "approve", row["id"], "--by", "ada", "--edit")
    assert (done["status"], done["value"]) == ("approved", edited)
    assert done["votes"][0]["channel"] == "cli"
    assert carried_out(dsn, run_id).output == {"send": {"text": "0!"}}
    typed(dsn, "approve", row["id"], "--edit", "--edits", "{}", code=2)


def test_channels_and_delegations(dsn: str) -> None:
    asked(dsn, SEND)
    [row] = said(dsn, "approval-delegations", "add", "ada", "bob", "--for", "7d")
    assert (row["of_user"], row["to_user"]) == ("ada", "bob")
    assert len(said(dsn, "approvals", "--mine", "--by", "bob")) == 1
    assert len(said(dsn, "approval-delegations", "list")) == 1
    said(dsn, "approval-delegations", "end", row["id"])
    assert said(dsn, "approval-delegations", "list") == []
    assert said(dsn, "approvals", "--mine", "--by", "bob") == []
    said(dsn, "approval-channels", "set", "team", "--email", "a@example.org", "--for", "role:x")
    said(dsn, "approval-channels", "set", "hook", "--slack", "secret://hook")
    names = [one["name"] for one in said(dsn, "approval-channels", "list")]
    assert names == ["hook", "team"]
    said(dsn, "approval-channels", "drop", "team")
    [gone] = said(dsn, "approval-channels", "drop", "team", code=1)
    assert gone["error"]["code"] == "channel_not_found"
    typed(dsn, "approval-channels", "set", "x", code=2)
    assert os.environ.get("FLOWBUILDER_DATABASE_URL") is None
