"""Arguments that do not fit become questions."""

from __future__ import annotations

from flowbuilder.errors import Problem, Severity
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.matching import ToolIndex
from flowbuilder.planner.rules.mending import ask_instead
from flowbuilder.tools import tool


@tool("files.pack", effects="write")
def files_pack(files: list[str], target: str, level: int = 6) -> str:
    """Pack files into an archive and return its path."""
    return f"{files}{target}{level}"


def packed() -> Composition:
    plan = Composition()
    profile = ToolIndex([files_pack]).profiles[0]
    plan.add(profile, None, Binding(args={"files": 3, "target": "a.zip", "level": "high"}))
    return plan


def problem(pointer: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(code="argument_type", pointer=pointer, message="no", severity=severity)


def test_what_a_tool_requires_is_asked_for() -> None:
    plan = packed()
    assert ask_instead(plan, [problem("/steps/0/args/files/0")])
    assert plan.steps[0].args == {"target": "a.zip", "level": "high"}
    assert [question.pointer for question in plan.asked()] == ["/steps/0/args/files"]
    assert plan.doubts


def test_what_a_tool_can_do_without_is_left_out_with_a_doubt() -> None:
    plan = packed()
    assert ask_instead(plan, [problem("/steps/0/args/level")])
    assert "level" not in plan.steps[0].args
    assert plan.asked() == []
    assert plan.doubts


def test_what_is_no_wrong_argument_changes_nothing() -> None:
    plan = packed()
    others = [
        problem("/steps/0/args/files", Severity.WARNING),
        problem("/steps/4/args/files"),
        problem("/steps/0/args/colour"),
        problem("/steps/0/for_each"),
    ]
    assert not ask_instead(plan, others)
    assert plan.steps[0].args["files"] == 3
    assert plan.doubts == []
