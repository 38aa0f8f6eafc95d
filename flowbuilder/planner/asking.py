"""Which questions of a model are put to a person, and which the plan can answer by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flowbuilder.plan import Question
from flowbuilder.planner.coercion import kinds_of, takes_text, takes_texts
from flowbuilder.planner.connecting import result_of
from flowbuilder.planner.demonstration import EXAMPLE_TEXT
from flowbuilder.planner.document import is_needed, result_in, steps_of, tool_of
from flowbuilder.planner.grounding import is_used
from flowbuilder.planner.literals import Literal, literals, lost_literals, taking
from flowbuilder.planner.pending import answers_later as answers_later
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Arguments that hold what is told or kept, in the order in which they are looked for.
_TOLD = ("body", "message", "text", "content", "contents", "comment")


def needed(
    questions: Sequence[Question], document: JsonObject, registry: ToolRegistry
) -> list[Question]:
    """Keep the questions about needed arguments; an optional one is simply left out."""
    kept = []
    for question in questions:
        index, name = place_of(question)
        tool = tool_of(steps_of(document)[index], registry)
        if tool is None or is_needed(tool, name):
            kept.append(question)
    return kept


def answer_by_goal(
    document: JsonObject, questions: Sequence[Question], registry: ToolRegistry, goal: str
) -> tuple[tuple[Question, ...], list[str]]:
    """Answer the questions for a receiver, place or number by the only one left of the goal.

    Change the document in place; return the questions left, and one sentence for each change.
    """
    left: list[Question] = []
    notes = []
    for question in questions:
        index, name = place_of(question)
        step = steps_of(document)[index]
        tool, arguments = tool_of(step, registry), step.get("args")
        lost = {item.message for item in lost_literals(goal, document, registry)}
        free = [
            item
            for item in literals(goal)
            if tool and name in [*taking(item, tool), *_counted_by(item, tool)]
            if any(f"the {item.kind} {item.text} " in message for message in lost)
        ]
        if tool is None or not isinstance(arguments, dict) or len(free) != 1:
            left.append(question)
            continue
        arguments[name] = _value(free[0], tool.input_schema["properties"][name])
        notes.append(f"{step.get('id')}: {name} is {free[0].text}, as the goal says.")
    return tuple(left), notes


def _counted_by(literal: Literal, tool: Tool) -> list[str]:
    """Return the arguments of a tool that take a number such as this one."""
    shapes: dict[str, Any] = tool.input_schema.get("properties", {})
    whole = literal.kind == "number" and literal.text.isdigit()
    return [name for name, shape in shapes.items() if whole and "integer" in kinds_of(shape)]


def _value(literal: Literal, shape: Any) -> JsonValue:
    if literal.kind == "number":
        return int(literal.text)
    return [literal.text] if takes_texts(shape) else literal.text


def tell_found(
    document: JsonObject, questions: Sequence[Question], registry: ToolRegistry
) -> tuple[tuple[Question, ...], list[str]]:
    """Put the one result that nobody uses where a later message is empty or asked for.

    Change the document in place; return the questions left, and one sentence for each change.
    """
    left, notes = tuple(questions), []
    for index, step in enumerate(steps_of(document)):
        tool, arguments = tool_of(step, registry), step.get("args")
        if tool is None or tool.effects in HARMLESS or not isinstance(arguments, dict):
            continue
        name = next((item for item in _TOLD if _is_empty(item, arguments, tool)), None)
        result = _unused(document, index, registry)
        if name is None or result is None:
            continue
        arguments[name] = result
        left = tuple(item for item in left if place_of(item) != (index, name))
        notes.append(f"{step.get('id')}: {name} is {result}, which no other step used.")
    return left, notes


def _is_empty(name: str, arguments: JsonObject, tool: Tool) -> bool:
    required = name in tool.input_schema.get("required", ())
    shape = tool.input_schema.get("properties", {}).get(name)
    return required and takes_text(shape) and arguments.get(name, "") in ("", EXAMPLE_TEXT)


def _unused(document: JsonObject, index: int, registry: ToolRegistry) -> str | None:
    """Return the reference to the only unused result before a step, None if there are others."""
    steps = steps_of(document)
    found = []
    for step in steps[:index]:
        tool = tool_of(step, registry)
        if tool and tool.effects in HARMLESS and "for_each" not in step:
            found += [] if is_used(step, steps) else [(step, tool)]
    if len(found) != 1:
        return None
    step, tool = found[0]
    text = result_of(step, tool, {"string"}) or result_of(step, tool, {"number", "integer"})
    return text or (result_in(step) if not tool.output_schema else None)


def place_of(question: Question) -> tuple[int, str]:
    """Return the index of the step and the name of the argument that a question is about."""
    _, _, index, _, name = question.pointer.split("/", 4)
    return int(index), name


def without_step(questions: Sequence[Question], index: int) -> tuple[Question, ...]:
    """Return the questions that remain when a step is gone, at the places that steps have then."""
    return tuple(_moved(item, index) for item in questions if place_of(item)[0] != index)


def _moved(question: Question, gone: int) -> Question:
    _, steps, place, rest = question.pointer.split("/", 3)
    if int(place) < gone:
        return question
    return replace(question, pointer=f"/{steps}/{int(place) - 1}/{rest}")
