"""Ask for what nobody could mend: arguments that are missing, or hold what cannot stand there."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any

from flowbuilder.errors import Problem, Severity
from flowbuilder.plan import Question
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import is_needed, steps_of, tool_of
from flowbuilder.planner.judging import Judgement, assess
from flowbuilder.planner.unsupported import question_about
from flowbuilder.planner.wire import Draft
from flowbuilder.strictjson import dumps

#: Errors of an argument's value that another value mends.
_OF_VALUES = frozenset(
    {
        "argument_type", "missing_argument", "reference_root", "reference_spelling",
        "reference_syntax", "self_dependency", "unknown_argument", "unknown_input_field",
        "unknown_output_field", "unknown_step_reference",
    }
)  # fmt: skip
_ARGUMENT = re.compile(r"/steps/(\d+)/args(?:/([^/]+)(?:/.*)?)?$")
_MISSING = re.compile(r"needs (?:one of these: )?'([^']+)'")


def question_errors(judged: Judgement, request: PlanRequest) -> Judgement:
    """Return a plan with questions in the place of its errors; the same one if some are no values.

    An argument that is optional or that the tool does not take is left out, which leaves a doubt.
    """
    found = {_argument_of(item) for item in judged.errors}
    if judged.document is None or None in found or not found:
        return judged
    document: Any = copy.deepcopy(judged.document)
    questions = list(judged.questions)
    doubts = list(judged.doubts)
    for place, name in sorted(item for item in found if item is not None):
        step = steps_of(document)[place]
        tool = tool_of(step, request.registry)
        arguments = step.get("args")
        if tool is None or not isinstance(arguments, dict):
            return judged
        shapes = tool.input_schema.get("properties", {})
        value = arguments.pop(name, None)
        if name in shapes and is_needed(tool, name):
            questions.append(_question(place, step, name, shapes[name]))
        else:
            doubts.append(_left_out(place, name, value))
    made = Draft(document=document, questions=tuple(questions))
    after = assess(made, request, doubts=doubts, strict=True)
    return replace(after, notes=judged.notes)


def _argument_of(problem: Problem) -> tuple[int, str] | None:
    """Return the step and the argument that a problem is about, None if it is about no value."""
    match = _ARGUMENT.match(problem.pointer)
    if match is None or problem.code not in _OF_VALUES:
        return None
    name = match[2]
    if name is None:
        missing = _MISSING.search(problem.message)
        name = missing[1] if missing is not None else None
    return None if name is None else (int(match[1]), name.replace("~1", "/").replace("~0", "~"))


def _question(place: int, step: Any, name: str, shape: Any) -> Question:
    return question_about(place, step, name, shape if isinstance(shape, dict) else {})


def _left_out(place: int, name: str, value: Any) -> Problem:
    return Problem(
        code="plan_mended",
        pointer=f"/steps/{place}/args",
        message=f"the argument {name} was left out: {dumps(value).decode()[:120]}",
        severity=Severity.WARNING,
    )
