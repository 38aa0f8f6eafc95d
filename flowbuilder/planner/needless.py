"""Leave out an act that a small model adds to what is wanted.

Such as an event in a calendar after a room was booked, with the same date and time and a title of
the model's own; a task for somebody that a person is then asked to name; or the summary of a file,
written over that file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.plan import Question
from flowbuilder.planner.argument_names import FILES
from flowbuilder.planner.asking import place_of, without_step
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.document import given_to, not_after, steps_of, tool_of
from flowbuilder.planner.grounding import is_used, stems
from flowbuilder.planner.literals import is_missed
from flowbuilder.planner.prompting import select_tools
from flowbuilder.planner.relevance import Relevance
from flowbuilder.tools import HARMLESS, Tool
from flowbuilder.types import JsonObject


def leave_out_needless(
    document: JsonObject,
    questions: Sequence[Question],
    request: PlanRequest,
    *,
    kept_ids: Collection[str] = (),
) -> tuple[tuple[Question, ...], list[Problem]]:
    """Leave out acts of which the goal does not speak and that say nothing which others do not.

    What such a step needs is made up or asked for, and all the rest another act has as well; or it
    writes over a file that the goal names only to have it read. Steps with one of the kept ids
    stay. Change the document in place; return the questions left, and a warning for each step.
    """
    doubts, left = [], tuple(questions)
    relevance = Relevance(request.goal, select_tools(request))
    for step in reversed(steps_of(document)):
        kept, tool = steps_of(document), tool_of(step, request.registry)
        if tool is None or tool.effects in HARMLESS or is_used(step, kept):
            continue
        if step.get("id") in kept_ids:
            continue
        index = next(place for place, item in enumerate(kept) if item is step)
        asked = {place_of(item)[1] for item in left if place_of(item)[0] == index}
        spoken = stems(tool.name.replace("_", " ")) & stems(request.goal)
        idle = not spoken and _adds_nothing(step, tool, asked, kept, request)
        if relevance.orders(tool, plainly=True) or not (idle or _writes_over(step, kept, request)):
            continue
        if is_missed(step, document, request.registry, request.goal):
            continue
        document["steps"] = [not_after(item, step) for item in kept if item is not step]
        left = without_step(left, index)
        doubts.append(_left_out(step))
    return left, doubts


def _adds_nothing(
    step: JsonObject, tool: Tool, asked: set[str], steps: list[JsonObject], request: PlanRequest
) -> bool:
    """Whether something that a step needs was made up or is asked for, and others have the rest."""
    given: Any = step.get("args") or {}
    others = [item for item in steps if item is not step and _acts(item, request)]
    theirs = {json.dumps(value) for item in others for value in given_to(item)}
    made_up = False
    for name in tool.input_schema.get("required", ()):
        value = given.get(name)
        if "${{" in repr(value):
            return False
        if name in asked or (isinstance(value, str) and value.lower() not in request.goal.lower()):
            made_up = made_up or json.dumps(value) not in theirs
        elif json.dumps(value) not in theirs:
            return False
    return made_up and bool(others)


def _writes_over(step: JsonObject, steps: list[JsonObject], request: PlanRequest) -> bool:
    """Whether a step writes the file that an earlier one reads, and the goal names it once."""
    given: Any = step.get("args") or {}
    files = [value for name, value in given.items() if name in FILES and isinstance(value, str)]
    if len(files) != 1 or request.goal.lower().count(files[0].lower()) != 1:
        return False
    before = steps[: steps.index(step)]
    return any(files[0] in given_to(item) and not _acts(item, request) for item in before)


def _acts(step: JsonObject, request: PlanRequest) -> bool:
    tool = tool_of(step, request.registry)
    return tool is not None and tool.effects not in HARMLESS


def _left_out(step: JsonObject) -> Problem:
    return Problem(
        code="step_left_out",
        pointer="",
        message=f"{step.get('id')} ({step.get('tool')}) was left out: the goal speaks of none",
        severity=Severity.WARNING,
        fix=Fix.USER,
    )
