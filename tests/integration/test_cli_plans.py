"""Plans on the command line: answers, reviews, edits, differences, repairs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TOOLS = '''
from flowbuilder import tool


@tool("note.send", keywords=("send",))
def send(text: str, to: str, copies: int) -> dict[str, object]:
    """Send a note."""
    return {"text": text, "to": to, "copies": copies}
'''
FLOW = """
flow: notes
steps:
  - id: first
    tool: note.send
    args: {text: hello, to: ada, copies: 2}
"""
GOAL = "send the note 'hello'"
WAIT = 120


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str

    def of_type(self, type: str) -> dict[str, Any]:
        found = [json.loads(line) for line in self.out.splitlines()]
        return next(line for line in found if line.get("type") == type)


Command = Callable[..., Done]


@pytest.fixture
def environment(dsn: str, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "mine.py").write_text(TOOLS)
    (tmp_path / "notes.yaml").write_text(FLOW)
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("FLOWBUILDER_")},
        "FLOWBUILDER_DATABASE_URL": dsn,
        "FLOWBUILDER_DATA_DIR": str(tmp_path / "data"),
        "FLOWBUILDER_TOOLS": "mine",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


@pytest.fixture
def flowbuilder(environment: dict[str, str], tmp_path: Path) -> Command:
    def run(*arguments: str, stdin: str = "") -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "flowbuilder.cli", *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            text=True,
            timeout=WAIT,
            cwd=tmp_path,
            env=environment,
        )
        assert "Traceback" not in done.stderr + done.stdout
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


def test_a_plan_that_asks_is_exit_3_and_is_answered_by_options(flowbuilder: Command) -> None:
    asked = flowbuilder("plan", GOAL)
    assert asked.code == 3, asked.err
    plan = asked.of_type("plan")["plan"]
    assert {item["id"] for item in plan["questions"]} == {"send.to", "send.copies"}
    assert f"flowbuilder run {plan['id']} --answer" in asked.err
    assert asked.of_type("review")["review"]["plan_id"] == plan["id"]
    half = flowbuilder("plan", plan["id"], "--answer", "to=ada")
    assert half.code == 3
    assert [item["id"] for item in half.of_type("plan")["plan"]["questions"]] == ["send.copies"]
    whole = flowbuilder("plan", plan["id"], "--answer", "send.to=ada", "--answer", "copies=0")
    assert whole.code == 0, whole.err
    arguments = whole.of_type("plan")["plan"]["flow"]["steps"][0]["args"]
    assert (arguments["to"], arguments["copies"]) == ("ada", 0)
    shown = flowbuilder("plan", "show", whole.of_type("plan")["plan"]["id"], "--no-json")
    assert shown.code == 0
    for text in ("summary:", "graph:", "against the version before:", "args.copies: 0 (new)"):
        assert text in shown.out


def test_a_run_that_asks_starts_nothing_until_it_is_answered(flowbuilder: Command) -> None:
    asked = flowbuilder("run", GOAL, "--yes")
    assert asked.code == 3, asked.err
    assert flowbuilder("runs").out == ""
    done = flowbuilder("run", GOAL, "--yes", "--answer", "to=ada", "--answer", "copies=2")
    assert done.code == 0, done.err
    sent = {"text": "hello", "to": "ada", "copies": 2}
    assert done.of_type("result")["output"] == {"send": sent}


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        ("copies=many", 1, "answer_invalid"),
        ("nobody=1", 1, "question_unknown"),
        ("=1", 2, "is no answer"),
        ("copies", 2, "is no answer"),
    ],
)
def test_wrong_answers_are_told(flowbuilder: Command, answer: str, code: int, told: str) -> None:
    done = flowbuilder("plan", GOAL, "--answer", answer)
    assert (done.code, told in done.err) == (code, True), done.err


def test_a_terminal_is_asked(environment: dict[str, str], tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flowbuilder.cli", "plan", GOAL, "--no-json"],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    os.close(follower)
    os.write(leader, b"ada\nmany\n3\n")
    out, err = process.communicate(timeout=WAIT)
    os.close(leader)
    assert process.returncode == 0, out + err
    assert "question send.to" in out
    assert "'many' is not of type 'integer'" in out
    assert "copies: 3" in out


def test_a_flow_is_edited_compared_and_kept_when_nobody_agrees(flowbuilder: Command) -> None:
    assert flowbuilder("run", "notes.yaml", "--yes").code == 0
    nobody = flowbuilder("edit", "notes", "change the copies to 5")
    assert nobody.code == 3, nobody.err
    plan = nobody.of_type("plan")["plan"]
    assert plan["diff"]["changed"][0]["fields"] == [{"pointer": "/args/copies", "old": 2, "new": 5}]
    assert flowbuilder("flows").out.count('"version":1') == 1
    accepted = flowbuilder("edit", plan["id"], "--yes")
    assert accepted.code == 0, accepted.err
    assert accepted.of_type("version")["version"] == 2
    diff = flowbuilder("diff", "notes", "--no-json")
    assert (diff.code, "args.copies: 2 -> 5" in diff.out) == (0, True)
    back = flowbuilder("diff", "notes", "2", "1").of_type("diff")
    assert back["diff"]["changed"][0]["fields"][0]["new"] == 2
    first = flowbuilder("diff", "notes", "1").of_type("diff")
    assert (first["base"], len(first["diff"]["added"])) == (None, 1)
    said = flowbuilder("edit", "notes", "say hi instead of hello", "--yes", "--no-json")
    assert (said.code, "version 3" in said.out) == (0, True), said.err
    assert flowbuilder("edit", "notes", "paint it black").code == 1
    assert flowbuilder("edit", "notes").code == 2
    assert flowbuilder("diff", "nobody").code == 1


def test_a_document_is_mended(flowbuilder: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(FLOW.replace("note.send", "note.sned"))
    assert flowbuilder("validate", "broken.yaml").code == 1
    fixed = flowbuilder("validate", "broken.yaml", "--fix")
    assert fixed.code == 0, fixed.err
    repair = fixed.of_type("repair")
    assert repair["document"]["steps"][0]["tool"] == "note.send"
    assert repair["changes"][0]["pointer"] == "/steps/0/tool"
    text = flowbuilder("validate", "broken.yaml", "--fix", "--no-json")
    assert json.loads(text.out) == repair["document"]
    assert "mended /steps/0/tool" in text.err
    (tmp_path / "hopeless.yaml").write_text("{")
    assert flowbuilder("validate", "hopeless.yaml", "--fix").code == 1
    (tmp_path / "odd.yaml").write_text("[1]")
    assert flowbuilder("validate", "odd.yaml", "--fix").code == 1


def test_a_goal_of_two_arguments_is_refused(flowbuilder: Command) -> None:
    assert flowbuilder("plan", "send", "notes").code == 2
    assert flowbuilder("plan", "show", "nonsense").code == 2
    pinned = flowbuilder("plan", GOAL, "--pin", "no.tool")
    assert (pinned.code, "tool_unknown" in pinned.err) == (1, True)
