"""Options that stand before or after the command, and what a target is taken for."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flowbuilder import __version__
from flowbuilder.cli.app import app
from flowbuilder.cli.failures import UsageProblem
from flowbuilder.cli.options import Options, hoist
from flowbuilder.cli.sources import as_file, example_input, read_input
from flowbuilder.flow import Flow


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["runs", "--json"], ["--json", "runs"]),
        (["--json", "runs"], ["--json", "runs"]),
        (["run", "goal", "--tools", "a.b", "--yes"], ["--tools", "a.b", "run", "goal", "--yes"]),
        (["tools", "--tools=a,b"], ["--tools=a,b", "tools"]),
        (["run", "--", "--json"], ["run", "--", "--json"]),
        (["runs", "--data-dir"], ["--data-dir", "runs"]),
        (["run", "--input", "{}", "x"], ["run", "--input", "{}", "x"]),
    ],
)
def test_common_options_move_to_the_front(given: list[str], expected: list[str]) -> None:
    assert hoist(given) == expected


def test_output_is_json_lines_when_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert Options().printer().as_json
    assert not Options(json=False).printer().as_json
    assert Options(json=True).printer().as_json


def test_named_modules_add_to_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOWBUILDER_TOOLS", "one")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    assert Options(tools=("two, three", "one")).settings().tools == ["one", "two", "three"]
    assert sys.path[0] == str(tmp_path)


@pytest.mark.parametrize(
    "goal", ["count the rows of data.csv", "read notes.json", "brief", "a.b", "x\ny.json"]
)
def test_a_goal_is_no_file(goal: str) -> None:
    assert as_file(goal) is None


def test_an_existing_document_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "my flow.yaml"
    file.write_text("flow: x\n")
    assert as_file(str(file)) == file


@pytest.mark.parametrize("target", ["missing.yaml", "no/such.json", "", "   "])
def test_what_can_only_be_a_file_must_be_there(target: str) -> None:
    with pytest.raises(UsageProblem):
        as_file(target)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("false", False),
        ('""', ""),
        ("null", None),
        ("[]", []),
        ('{"a": [1.5]}', {"a": [1.5]}),
    ],
)
def test_input_keeps_every_value(text: str, value: object) -> None:
    assert read_input(text) == value
    assert type(read_input(text)) is type(value)


def test_input_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"city": "Køge"}', encoding="utf-8")
    assert read_input(f"@{file}") == {"city": "Køge"}


@pytest.mark.parametrize(
    "text", ["{", "NaN", '{"a": 1, "a": 2}', '"\\ud800"', "@no-such-file.json", ""]
)
def test_bad_input_is_a_usage_problem(text: str) -> None:
    with pytest.raises(UsageProblem):
        read_input(text)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"examples": [{"n": 1}, {"n": 2}]}, (True, {"n": 1})),
        ({"default": 0}, (True, 0)),
        ({"examples": [None]}, (True, None)),
        ({"type": "object"}, (False, None)),
    ],
)
def test_example_of_a_flow(schema: dict[str, object], expected: tuple[bool, object]) -> None:
    assert example_input(Flow(flow="x", input=schema)) == expected


def test_the_version_is_told_without_a_command() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"{__version__}\n")
