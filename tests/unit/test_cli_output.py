"""What people and programs get to see."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from flowbuilder.cli.failures import DEBUG_HINT, UsageProblem, report
from flowbuilder.cli.output import Printer, shorten, to_line
from flowbuilder.cli.progress import RunView
from flowbuilder.errors import DefinitionError, NoFittingTool, Problem, RunFailed, SettingsError
from flowbuilder.executor.events import EventRow
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject

FLOW = Flow.model_validate(
    {
        "flow": "demo",
        "steps": [
            {"id": "fetch", "tool": "http.request"},
            {"id": "rate", "tool": "text.stats", "for_each": "${{ steps.fetch.items }}"},
        ],
    }
)


def event(seq: int, type: str, step: str | None = None, **data: object) -> EventRow:
    body: JsonObject = json.loads(json.dumps(data))
    return EventRow(
        stream="s",
        seq=seq,
        type=type,
        run_id="s",
        step_name=step,
        task_id=str(body.get("task_id")) if "task_id" in body else None,
        attempt=1,
        at=datetime(2026, 1, 1, 0, 0, seq, tzinfo=UTC),
        actor=None,
        data=body,
    )


def test_json_lines_keep_every_value() -> None:
    record = {"a": 0, "b": False, "c": "", "d": None, "e": [], "f": "Ærø"}
    assert json.loads(to_line(record)) == record


def test_error_in_json_mode_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(code="tool_unknown", pointer="/steps/0/tool", message="there is no tool x")
    code = report(Printer(as_json=True), DefinitionError("one problem", problems=[problem]))
    out, err = capsys.readouterr()
    line = json.loads(out)
    assert code == 1
    assert line["type"] == "error"
    assert line["error"]["code"] == "definition_invalid"
    assert line["error"]["problems"][0]["pointer"] == "/steps/0/tool"
    assert "/steps/0/tool" in err


@pytest.mark.parametrize(
    ("error", "code"), [(UsageProblem("what?"), 2), (SettingsError("bad"), 2), (ValueError("x"), 1)]
)
def test_exit_codes_of_errors(error: Exception, code: int) -> None:
    assert report(Printer(as_json=False), error) == code


def test_unforeseen_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report(Printer(as_json=False), RuntimeError("[bold]odd\nand long"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "RuntimeError: [bold]odd" in err
    assert "Traceback" not in err
    assert DEBUG_HINT in err


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise RuntimeError("odd")
    except RuntimeError as error:
        report(Printer(as_json=False, debug=True), error)
    assert "Traceback" in capsys.readouterr().err


def test_hint_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    report(Printer(as_json=False), SettingsError("bad", hint="Set it."))
    assert "Set it." in capsys.readouterr().err


def test_a_finding_that_says_what_the_error_says_is_shown_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    same = Problem(code="no_fitting_tool", pointer="", message="nobody sings", hint="Add it.")
    other = Problem(code="no_fitting_tool", pointer="", message="nobody sings", hint="Hum.")
    error = NoFittingTool("nobody sings", problems=[same, other], hint="Add it.")
    report(Printer(as_json=False), error)
    err = capsys.readouterr().err
    assert (err.count("nobody sings"), err.count("Add it."), err.count("Hum.")) == (2, 1, 1)


def test_steps_are_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    view = RunView(Printer(as_json=False), FLOW, "run-1")
    view.show(event(1, "workflow_started"))
    view.show(event(2, "task_started", "fetch", task_id=1))
    view.show(event(3, "task_completed", "fetch", task_id=1, result={}, duration_ms=1500))
    view.show(event(4, "task_failed", "rate", task_id=2, index=0, error={"message": "[/]no"}))
    text = capsys.readouterr().out
    assert "run started" in text
    assert "fetch completed in 1.50s" in text
    assert "rate[0] failed: [/]no" in text


def test_json_mode_prints_the_envelopes(capsys: pytest.CaptureFixture[str]) -> None:
    view = RunView(Printer(as_json=True), FLOW, "run-1")
    view.show(event(1, "workflow_started", input=None))
    assert json.loads(capsys.readouterr().out) == event(1, "workflow_started", input=None).as_json()


def test_mapped_step_counts_its_tasks() -> None:
    view = RunView(Printer(as_json=True), FLOW, "run-1")
    for seq, (kind, task) in enumerate([("started", 1), ("started", 2), ("completed", 1)], start=1):
        view.show(event(seq, f"task_{kind}", "rate", task_id=task))
    step = view.steps["rate"]
    assert (step.state, step.done, len(step.tasks)) == ("running", 1, 2)
    view.show(event(4, "task_completed", "rate", task_id=2))
    assert (step.state, step.done) == ("completed", 2)


def test_tree_survives_markup_in_names() -> None:
    printer = Printer(as_json=True)
    view = RunView(printer, FLOW, "run-1")
    view.show(event(1, "task_retrying", "fetch", task_id=1, error={"message": "[red]oops[/nope]"}))
    with printer.err.capture() as captured:
        printer.err.print(view.tree())
    assert "[red]oops[/nope]" in captured.get()


@pytest.mark.parametrize(
    ("value", "text"), [("a\n b", "a b"), ([1, None], "[1, null]"), ("x" * 9, "xxxx…")]
)
def test_long_values_are_shortened(value: object, text: str) -> None:
    assert shorten(value, 5 if isinstance(value, str) and len(value) > 5 else 80) == text


def test_run_failed_carries_its_place() -> None:
    error = RunFailed("x", run_id="r", step="s", attempt=2, error={"code": "c"})
    assert (error.step, error.attempt, error.code) == ("s", 2, "run_failed")
