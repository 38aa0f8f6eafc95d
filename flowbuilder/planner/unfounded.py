"""Take out of a plan what a small model made up where the goal has nothing of the kind.

A condition, the text of an example, a step that cannot take what it is given.
"""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.errors import Severity
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.demonstration import EXAMPLE_TEXT
from flowbuilder.planner.document import (
    REFERENCE,
    not_after,
    result_in,
    steps_of,
    taking_instead,
    tool_of,
)
from flowbuilder.planner.literals import lost
from flowbuilder.planner.relevance import Relevance
from flowbuilder.planner.shapes import validated
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject

_CONDITIONAL = re.compile(
    r"(?i)\b(?:if|when|whenever|unless|only|once|case|long as|otherwise|provided|depending|should|"
    r"except|until|whether|in the event)\b"
)


def drop_conditions(document: JsonObject, request: PlanRequest) -> list[str]:
    """Drop conditions that cannot stand where the goal has none; return a sentence for each."""
    steps = steps_of(document)
    if _CONDITIONAL.search(request.goal) or not any("when" in step for step in steps):
        return []
    wrong, notes = _wrong(document, request), []
    for index, step in enumerate(steps):
        condition = step.get("when")
        if condition is not None and f"/steps/{index}/when" in wrong:
            del step["when"]
            notes.append(f"{step.get('id')}: the condition {condition} was left out: nobody asked.")
    return notes


def drop_examples(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Drop the text of an example from arguments that may be left out."""
    notes = []
    for step in steps_of(document):
        tool, given = tool_of(step, registry), step.get("args")
        if tool is None or not isinstance(given, dict) or EXAMPLE_TEXT.lower() in goal.lower():
            continue
        required = tool.input_schema.get("required", ())
        for name in [key for key, value in given.items() if value == EXAMPLE_TEXT]:
            if name not in required:
                del given[name]
                notes.append(f"{step.get('id')}: {name} {EXAMPLE_TEXT!r} was left out.")
    return notes


def bypass(document: JsonObject, request: PlanRequest) -> list[str]:
    """Pass by steps that only read and cannot take the result that they are given.

    They must be said by no word of the goal, or be there twice, and nothing that the goal names may
    be lost. Change the document in place; return one sentence for each change.
    """
    notes: list[str] = []
    wrong = _wrong(document, request)
    relevance = Relevance(request.goal, list(request.registry))
    for step in list(steps_of(document)) if wrong else ():
        tool = tool_of(step, request.registry)
        place = next((at for at, one in enumerate(steps_of(document)) if one is step), -1)
        source = _ill_taken(step, [item for item in wrong if item.startswith(f"/steps/{place}/")])
        if tool is None or source is None or not _is_spare(step, tool, document, relevance):
            continue
        without = _passed_by(document, step, source)
        left = _wrong(without, request)
        kept = lost(request.goal, without, request.registry)
        if len(left) < len(wrong) and kept == lost(request.goal, document, request.registry):
            document["steps"], wrong = without["steps"], left
            notes.append(f"{step.get('id')} was left out: it cannot take {source}.")
    return notes


def _wrong(document: JsonObject, request: PlanRequest) -> list[str]:
    found = validated(document, request).problems
    return [item.pointer for item in found if item.severity is Severity.ERROR]


def _ill_taken(step: JsonObject, pointers: list[str]) -> str | None:
    """Return the one result that a step is given and cannot take, None if that is not its fault."""
    given: Any = step.get("args") or {}
    names = {pointer.split("/")[4] for pointer in pointers if pointer.count("/") == 4}
    taken = [value for value in given.values() if "${{" in str(value)]
    alone = len(names) == 1 and len(taken) == 1 and given.get(next(iter(names))) == taken[0]
    whole = alone and isinstance(taken[0], str) and REFERENCE.fullmatch(taken[0])
    return taken[0] if whole else None


def _is_spare(step: JsonObject, tool: Tool, document: JsonObject, relevance: Relevance) -> bool:
    twice = sum(item.get("tool") == step.get("tool") for item in steps_of(document)) > 1
    return tool.effects in HARMLESS and (twice or not relevance.orders(tool))


def _passed_by(document: JsonObject, step: JsonObject, source: str) -> JsonObject:
    rest = [not_after(item, step) for item in steps_of(document) if item is not step]
    return {
        **document,
        "steps": [taking_instead(item, result_in(step), source) for item in rest],
    }
