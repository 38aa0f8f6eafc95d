"""Have a file or page read where a step was given its name in the place of what is in it.

A small model hands `prices.csv` to a tool that sorts a text. Where one tool of the catalogue reads
such a thing, the step that does is put before; that it is meant so is likely, not certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.planner.coercion import kinds_of
from flowbuilder.planner.connecting import result_of
from flowbuilder.planner.grounding import is_used
from flowbuilder.planner.literals import CONTENTS, SOURCES, Literal, literals, readers_of, taking
from flowbuilder.tools import HARMLESS, Effects, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Arguments that hold a text itself, never the name of where it is.
_PLACE = re.compile(r"path|file|url|uri|link|address|location|image|picture|photo|audio|video")
_MEDIA = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|tiff?|bmp|mp[34]|wav|ogg|flac|mov|avi|zip|gz)$")


def read_sources(
    document: JsonObject, registry: ToolRegistry, goal: str
) -> tuple[list[str], list[Problem]]:
    """Put reading steps before those that need them; return notes, and a warning for each."""
    notes, doubts = [], []
    for index, name, literal in reversed(list(unread(document, registry, goal))):
        readers = _readers(literal, document, registry)
        if len(readers) != 1:
            doubts.append(_problem(index, name, literal, readers))
            continue
        steps: Any = document["steps"]
        step = steps[index]
        if (idle := _idle_result(document, index, registry)) is not None:
            # The chain goes on: what is named here is where its end is to be written.
            step["args"][name] = idle
            notes.append(f"{step.get('id')}: {name} {literal.text} was read as {idle}.")
            continue
        place, reading = _reading(document, index, readers[0], literal)
        result = result_of(reading, readers[0], {"string"})
        step["args"][name] = result
        if place is not None:
            steps.insert(place, reading)
        notes.append(f"{step.get('id')}: {name} is what {readers[0].name} reads of {literal.text}.")
        doubts.append(
            Problem(
                code="step_supposed",
                pointer=f"/steps/{index}/args/{name}",
                message=f"{literal.text} is supposed to be read by {readers[0].name}",
                severity=Severity.WARNING,
            )
        )
    return notes, doubts


def unread_problems(document: JsonObject, registry: ToolRegistry, goal: str) -> list[Problem]:
    """Return a warning for each name that stands where what it names is wanted."""
    return [
        _problem(index, name, literal, _readers(literal, document, registry))
        for index, name, literal in unread(document, registry, goal)
    ]


def unread(
    document: JsonObject, registry: ToolRegistry, goal: str
) -> Iterator[tuple[int, str, Literal]]:
    """Yield each place where a file's or page's name of the goal stands for what is in it."""
    known = {item.text.lower(): item for item in literals(goal) if item.kind in SOURCES}
    written: set[str] = set()
    steps = document.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        given = step.get("args") if isinstance(step, dict) else None
        tool = registry.get(str(step.get("tool"))) if isinstance(step, dict) else None
        if tool is None or not isinstance(given, dict):
            continue
        for name, value in given.items():
            literal = known.get(value.strip().lower()) if isinstance(value, str) else None
            if literal is None or literal.text in written:
                continue
            if _holds_contents(name, literal, tool) and _readers(literal, document, registry):
                yield index, name, literal
        if tool.effects not in HARMLESS:
            written |= {str(value) for value in given.values()}


def _holds_contents(name: str, literal: Literal, tool: Tool) -> bool:
    shape = tool.input_schema.get("properties", {}).get(name)
    if "string" not in kinds_of(shape) or taking(literal, tool) == [name]:
        return False
    if name in CONTENTS:
        return True
    pure = tool.effects is Effects.PURE and not taking(literal, tool)
    return pure and not _PLACE.search(name.lower()) and not _MEDIA.search(literal.text.lower())


def _readers(literal: Literal, document: JsonObject, registry: ToolRegistry) -> list[Tool]:
    """Return the tools that read such a thing into a text: those the plan has already, or all."""
    found = [
        tool
        for tool, name in readers_of(literal, registry)
        if taking(literal, tool) == [name] and result_of({"id": "it"}, tool, {"string"})
    ]
    steps = document.get("steps")
    listed = steps if isinstance(steps, list) else []
    used = {step.get("tool") for step in listed if isinstance(step, dict)}
    return [tool for tool in found if tool.name in used] or found


def _idle_result(document: JsonObject, index: int, registry: ToolRegistry) -> str | None:
    """Return the text of the step right before if nothing uses it."""
    steps: Any = document["steps"]
    before = steps[index - 1] if index else {}
    tool = registry.get(str(before.get("tool")))
    if tool is None or tool.effects not in HARMLESS or is_used(before, steps):
        return None
    return result_of(before, tool, {"string"})


def _reading(
    document: JsonObject, index: int, reader: Tool, literal: Literal
) -> tuple[int | None, JsonObject]:
    """Return the step that reads it, and where it is to be put if it is not there yet."""
    steps: Any = document["steps"]
    name = taking(literal, reader)[0]
    for step in steps[:index]:
        given = step.get("args")
        if step.get("tool") == reader.name and isinstance(given, dict):
            value: JsonValue = given.get(name)
            if str(value).lower() == literal.text.lower():
                return None, step
    taken = {str(step.get("id")) for step in steps}
    base = re.sub(r"\W+", "_", reader.name.lower())
    number = next(n for n in range(1, len(steps) + 2) if _numbered(base, n) not in taken)
    return index, {
        "id": _numbered(base, number),
        "tool": reader.name,
        "args": {name: literal.text},
    }


def _numbered(base: str, number: int) -> str:
    return base if number == 1 else f"{base}_{number}"


def _problem(index: int, name: str, literal: Literal, readers: list[Tool]) -> Problem:
    listed = " or ".join(tool.name for tool in readers)
    return Problem(
        code="source_unread",
        pointer=f"/steps/{index}/args/{name}",
        message=f"{name} must be the text itself, and not its {literal.kind} {literal.text}",
        hint=f"Read it first by a step of {listed}, and refer to its result.",
        severity=Severity.WARNING,
        fix=Fix.MODEL,
    )
