"""Mail that would be refused is told before it is sent: in documents, plans and commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowbuilder.cli.app import app
from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import ToolRegistry
from flowbuilder.validation import validate
from tests.support.outside import connected
from tests.unit.data.rules_measure import plan_goal

SERVER: dict[str, Any] = {
    "host": "mail.example",
    "sender": "f@example.org",
    "domains": ["example.org", "Example.NET"],
    "max_recipients": 3,
}
GOOD: dict[str, Any] = {"to": ["ada@example.org"], "subject": "s", "text": "t"}


def mailing(folder: Path, **changed: Any) -> ToolRegistry:
    registry, _ = connected(folder, {"email": {**SERVER, **changed}})
    return registry


def document(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"flow": "f", "input": {"properties": {"to": {"type": "string"}}}, "steps": list(steps)}


def found(registry: ToolRegistry, **args: Any) -> tuple[Problem, ...]:
    step = {"id": "mail", "tool": "email.send", "args": {**GOOD, **args}}
    checked = validate(document(step), registry)
    assert checked.valid, checked.problems
    return tuple(item for item in checked.problems if item.code == "argument_refused")


def test_an_address_outside_the_allowed_domains_is_told_where_it_stands(tmp_path: Path) -> None:
    registry = mailing(tmp_path)
    (told,) = found(registry, to=["ada@example.org", "eve@evil.example"])
    assert told.pointer == "/steps/0/args/to/1"
    assert told.message == "email.send would refuse it: mail to evil.example is not allowed here"
    assert (told.severity, told.fix) == (Severity.WARNING, Fix.USER)
    assert told.hint
    copied = found(registry, cc=["ada@example.org.evil.example", "Ada <ada@example.org>"])
    assert [item.pointer for item in copied] == ["/steps/0/args/cc/0", "/steps/0/args/cc/1"]
    many = found(registry, to=[f"a{number}@example.org" for number in range(3)], cc=["b@x.example"])
    assert [item.pointer for item in many] == ["/steps/0/args/cc/0", "/steps/0/args/to"]


def test_what_is_allowed_or_not_known_yet_is_let_be(tmp_path: Path) -> None:
    registry = mailing(tmp_path)
    assert not found(registry, to=["ada@EXAMPLE.org", "bob@example.net", "bob@example.net"])
    assert not found(registry, to=["${{ input.to }}", "${{ input.to }}@evil.example"])
    assert not found(mailing(tmp_path, domains=["*"]), to=["eve@evil.example"])


def test_who_is_mailed_when_a_step_is_undone_is_looked_at_as_well(tmp_path: Path) -> None:
    undoing = {"tool": "email.send", "args": {**GOOD, "to": ["eve@evil.example"]}}
    step = {"id": "mail", "tool": "email.send", "args": GOOD, "compensate": undoing}
    (told,) = (
        item
        for item in validate(document(step), mailing(tmp_path)).problems
        if item.code == "argument_refused"
    )
    assert told.pointer == "/steps/0/compensate/args/to/0"


@pytest.mark.parametrize("to", ["eve@evil.example", None, 5, [5], {"a": 1}, "${{ input.to }}"])
def test_arguments_of_any_shape_are_survived(tmp_path: Path, to: Any) -> None:
    step = {"id": "mail", "tool": "email.send", "args": {**GOOD, "to": to}}
    codes = {item.code for item in validate(document(step), mailing(tmp_path)).problems}
    assert "argument_refused" not in codes


def test_a_file_that_cannot_be_read_any_more_is_no_matter_of_the_document(tmp_path: Path) -> None:
    file = tmp_path / "connections.json"
    file.write_text(json.dumps({"email": SERVER}))
    registry = load_registry(Settings(connections=file))
    assert found(registry, to=["eve@evil.example"])
    file.unlink()
    assert not found(registry, to=["eve@evil.example"])


def test_a_plan_by_rules_tells_it_and_is_not_certain(tmp_path: Path) -> None:
    goal = 'Email "hello" to {} with the subject "greetings"'
    registry = mailing(tmp_path)
    sound = plan_goal(goal.format("ada@example.org"), registry)
    assert sound.certain, (sound.notes, sound.problems)
    plan = plan_goal(goal.format("eve@evil.example"), registry)
    assert [(item.code, item.pointer) for item in plan.problems] == [
        ("argument_refused", "/steps/0/args/to/0")
    ]
    assert plan.valid
    assert not plan.certain


def test_the_command_line_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections, flow = tmp_path / "connections.json", tmp_path / "flow.json"
    connections.write_text(json.dumps({"email": SERVER}))
    step = {"id": "mail", "tool": "email.send", "args": {**GOOD, "to": ["eve@evil.example"]}}
    flow.write_text(json.dumps(document(step)))
    monkeypatch.setenv("FLOWBUILDER_CONNECTIONS", str(connections))
    done = CliRunner().invoke(app, ["--json", "validate", str(flow)])
    told, whole = map(json.loads, done.stdout.splitlines())
    assert (told["code"], told["severity"]) == ("argument_refused", "warning")
    assert whole["valid"]
    assert done.exit_code == 0
