"""Use the tool that takes what there is: a phone number is no member of a chat, a file no page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuilder.plan import Question
from flowbuilder.planner.asking import place_of
from flowbuilder.planner.coercion import takes_texts, texts_of
from flowbuilder.planner.document import given_to, steps_of, tool_of
from flowbuilder.planner.grounding import is_used
from flowbuilder.planner.literals import (
    SOURCES,
    Literal,
    literals,
    lost,
    readers_of,
    takers,
    taking,
)
from flowbuilder.planner.misplacing import misplaced
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

_HOSTED = re.compile(r"https?://[^/\s]+/(.+)")
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


def read_instead(
    document: JsonObject, questions: Sequence[Question], registry: ToolRegistry, goal: str
) -> tuple[tuple[Question, ...], list[str]]:
    """Read the one file or page that is lost, where a step asks what else it should read.

    Both tools need nothing but that. Change the document in place; return the questions left, and
    one sentence for each change.
    """
    named = [item for item in lost(goal, document, registry) if item.kind in SOURCES]
    for question in questions if len(named) == 1 else ():
        index, asked = place_of(question)
        step = steps_of(document)[index]
        tool = tool_of(step, registry)
        if tool and tool.effects in HARMLESS and tool.input_schema.get("required") == [asked]:
            notes = _read(step, named[0], registry)
            left = tuple(item for item in questions if not notes or item is not question)
            return left, notes
    return tuple(questions), []


def read_files(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Read files as such that were to be fetched from a host of which the goal does not speak."""
    files = {item.text: item for item in literals(goal) if item.kind in SOURCES}
    notes = []
    for step in steps_of(document):
        tool = tool_of(step, registry)
        hosted = [_HOSTED.fullmatch(value) for value in given_to(step) if isinstance(value, str)]
        named = [
            files[match[1]]
            for match in hosted
            if match and match[1] in files and match[0] not in goal
        ]
        if tool and tool.effects in HARMLESS and len(named) == 1:
            notes += _read(step, named[0], registry)
    return notes


def _read(step: JsonObject, source: Literal, registry: ToolRegistry) -> list[str]:
    """Have a step read a source by the one tool that does; return a sentence if there is one."""
    readers = readers_of(source, registry)
    if len(readers) != 1:
        return []
    ((reader, name),) = readers
    step["tool"], step["args"] = reader.name, {name: source.text}
    return [f"{step.get('id')}: {reader.name} reads {source.text}."]


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
