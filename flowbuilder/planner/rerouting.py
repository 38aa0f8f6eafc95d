"""Send a message by the tool that reaches its receiver: a phone number is no member of a chat."""

from __future__ import annotations

import re

from flowbuilder.planner.coercion import takes_texts, texts_of
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.grounding import is_used
from flowbuilder.planner.literals import Literal, takers, taking
from flowbuilder.planner.misplacing import misplaced
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Arguments that hold the message itself, the longest form first.
_MESSAGES = ("body", "message", "text", "content", "comment")


def reroute(document: JsonObject, registry: ToolRegistry) -> list[str]:
    """Change the tool of each step whose receiver only one other tool reaches.

    That tool must need nothing but the receiver and the message. Return one sentence a change.
    """
    steps = document.get("steps")
    notes = []
    for index, name, literal in misplaced(document, registry):
        step = steps[index] if isinstance(steps, list) else None
        assert isinstance(step, dict)
        given = step.get("args")
        found = takers(literal, registry)
        if len(found) != 1 or not isinstance(given, dict) or len(texts_of(given[name])) != 1:
            continue
        arguments = _arguments(given, given[name], literal, found[0])
        if arguments is not None:
            notes.append(f"{step.get('id')}: {found[0].name} reaches {literal.text}.")
            step["tool"], step["args"] = found[0].name, arguments
            _rename(step, document)
    return notes


def _rename(step: JsonObject, document: JsonObject) -> None:
    """Name a step after its new tool if nothing refers to it and the name is free."""
    listed = steps_of(document)
    name = re.sub(r"\W+", "_", str(step["tool"]).lower())
    if not is_used(step, listed) and all(item.get("id") != name for item in listed):
        step["id"] = name


def _arguments(
    given: JsonObject, receiver: JsonValue, literal: Literal, tool: Tool
) -> JsonObject | None:
    """Return the arguments for the other tool, None if it needs more than there is."""
    properties = tool.input_schema.get("properties", {})
    told = next((given[name] for name in _MESSAGES if name in given), None)
    place = next((name for name in _MESSAGES if name in properties), None)
    required = set(tool.input_schema.get("required", ()))
    own = taking(literal, tool)
    if told is None or place is None or len(own) != 1 or not required <= {own[0], place}:
        return None
    if takes_texts(properties[own[0]]):
        return {own[0]: [*texts_of(receiver)], place: told}
    return {own[0]: literal.text if isinstance(receiver, list) else receiver, place: told}
