"""Plans of several flows on the command line: shown as a tree, agreed to, run, shown again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist

GOAL = (
    "1. Read the file a.csv, sort the rows by amount and write them to sorted.csv.\n"
    "2. Read the file b.csv, count the rows by country and write the counts to counts.json."
)


class Typed:
    """What a person types in one project."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.common = ["--database-url", dsn, "--data-dir", str(folder / "data")]

    def text(self, *words: str, code: int = 0) -> str:
        result: Result = CliRunner().invoke(app, hoist([*words, "--no-json", *self.common]))
        assert result.exit_code == code, result.output
        return result.output

    def lines(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        result: Result = CliRunner().invoke(app, hoist([*words, "--json", *self.common]))
        assert result.exit_code == code, result.output
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


@pytest.fixture
def typed(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    (tmp_path / "a.csv").write_text("name,amount\nbob,2\nann,1\n")
    (tmp_path / "b.csv").write_text("name,country\nann,AT\nbob,DE\n")
    monkeypatch.setenv("FLOWBUILDER_WORKSPACE_DIR", str(tmp_path))
    monkeypatch.setenv("FLOWBUILDER_PLAN_SPLIT", "4")
    monkeypatch.setenv("COLUMNS", "200")
    return Typed(dsn, tmp_path)


def test_a_plan_of_parts_is_shown_as_one_tree(typed: Typed) -> None:
    shown = typed.text("plan", GOAL)
    assert "parts of" in shown
    for words in ("part_1 Read the file a.csv", "part_2 Read the file b.csv", "asks a person"):
        assert words in shown
    told = [line for line in typed.lines("plan", GOAL) if "plan" in line][-1]["plan"]
    assert [child["step"] for child in told["children"]] == ["part_1", "part_2"]


def test_yes_agrees_to_what_the_parts_ask_and_the_run_is_a_tree(
    typed: Typed, tmp_path: Path
) -> None:
    told = typed.lines("run", GOAL, "--yes", "--worker")
    result = told[-1]
    assert result["type"] == "result" and result["status"] == "completed"
    assert (tmp_path / "sorted.csv").read_text().split() == ["name,amount", "ann,1", "bob,2"]
    assert json.loads((tmp_path / "counts.json").read_text())[0] == {"country": "AT", "count": 1}
    [tree] = typed.lines("show", result["run_id"], "--tree")
    runs = {step["step_id"]: step["runs"] for step in tree["run"]["steps"]}
    assert [run["status"] for run in [*runs["part_1"], *runs["part_2"]]] == ["completed"] * 2
    shown = typed.text("show", result["run_id"], "--tree")
    assert "part_1  flow.run@1 completed" in shown and "write  file.write@1 completed" in shown
    typed.lines("show", "nobody", "--tree", code=1)


def test_without_a_yes_the_parts_wait_and_say_for_whom(typed: Typed) -> None:
    plan = [line for line in typed.lines("plan", GOAL) if "plan" in line][-1]["plan"]
    told = typed.lines("run", plan["id"], "--worker", code=3)
    asked = [line["approval"]["step_id"] for line in told if line["type"] == "approval"]
    assert asked  # of a child run, named so that it can be decided
    pending = typed.lines("approvals")
    assert {row["step_id"] for row in pending} >= set(asked)
