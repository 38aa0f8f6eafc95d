"""Put in the one step that brings back what a plan lost: a language, or a path within a document.

A small model that has forgotten a step in the middle of a chain hardly ever finds it when it is
asked again; where there is one tool and one place for it, the step can be written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowbuilder.errors import Problem, Severity
from flowbuilder.planner.coercion import kinds_of
from flowbuilder.planner.document import (
    REFERENCE,
    result_in,
    steps_of,
    taking_instead,
    tool_of,
)
from flowbuilder.planner.grounding import Ground
from flowbuilder.planner.literals import (
    CONTENTS,
    FIELD_ARGUMENTS,
    Literal,
    field_tools,
    is_field,
    lost,
)
from flowbuilder.planner.relevance import unspoken_changes
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject

_LANGUAGE = "language"


def insert_lost_steps(document: JsonObject, registry: ToolRegistry, goal: str) -> list[Problem]:
    """Change a document in place; return a warning for each step that was put in.

    A text is translated just before it is told or kept; a field is taken out of what was fetched
    or read, in the place of whatever else is made of that and the goal does not ask for.
    """
    gone = lost(goal, document, registry)
    languages = [item for item in gone if item.kind == _LANGUAGE]
    fields = [item for item in gone if is_field(item)]
    put_in = []
    if len(fields) == 1:
        put_in += _take_out(document, registry, goal, fields[0])
    if len(languages) == 1:
        put_in += _translate(document, registry, languages[0])
    return [
        Problem(
            code="step_supposed",
            pointer=f"/steps/{steps_of(document).index(step)}",
            message=f"{step['id']} ({step['tool']}) is supposed to be wanted for {literal.text}",
            severity=Severity.WARNING,
        )
        for step, literal in put_in
    ]


def _translate(
    document: JsonObject, registry: ToolRegistry, language: Literal
) -> list[tuple[JsonObject, Literal]]:
    """Translate the one result that all acts tell or keep."""
    steps = steps_of(document)
    acts = [
        item for item in steps if (tool := tool_of(item, registry)) and tool.effects not in HARMLESS
    ]
    told = {match[0] for item in acts for match in REFERENCE.finditer(repr(item.get("args")))}
    found = [one for tool in registry if (one := _translating(tool)) is not None]
    if len(told) != 1 or len(found) != 1:
        return []
    (text,), ((tool, to, of),) = told, found
    added = _step(tool, {of: text, to: language.text}, steps)
    tellers = [item for item in acts if text in repr(item.get("args"))]
    first = steps.index(tellers[0])
    after = [
        taking_instead(item, text, result_in(added)) if item in tellers else item for item in steps
    ]
    document["steps"] = [*after[:first], added, *after[first:]]
    return [(added, language)]


def _take_out(
    document: JsonObject, registry: ToolRegistry, goal: str, field: Literal
) -> list[tuple[JsonObject, Literal]]:
    """Take a field out of the one text that was fetched or read."""
    steps = steps_of(document)
    found = [one for tool in field_tools(registry) if (one := _extracting(tool)) is not None]
    sources = [
        item
        for item in steps
        if (tool := tool_of(item, registry)) and tool.effects in HARMLESS
        if "string" in kinds_of(tool.output_schema) and "${{" not in repr(item.get("args"))
    ]
    if len(found) != 1 or len(sources) != 1:
        return []
    ((tool, path, of),), (source,) = found, sources
    if tool.name in {item.get("tool") for item in steps}:
        return []
    whole = result_in(source)
    added = _step(tool, {of: whole, path: field.text}, steps)
    place = steps.index(source) + 1
    later = [taking_instead(item, whole, result_in(added)) for item in steps[place:]]
    document["steps"] = [*steps[:place], added, *later]
    _skip_unspoken(document, registry, goal, added)
    return [(added, field)]


def _skip_unspoken(
    document: JsonObject, registry: ToolRegistry, goal: str, added: JsonObject
) -> None:
    """Leave out what takes only the new step's result, and changes it as no word says."""
    steps = steps_of(document)
    for problem in unspoken_changes(document, list(registry), goal, Ground(goal)):
        step = steps[int(problem.pointer.split("/")[2])]
        given: Any = step.get("args") or {}
        if step is not added and [item for item in given.values() if "${{" in str(item)] == [
            result_in(added)
        ]:
            rest = [item for item in steps if item is not step]
            document["steps"] = [
                taking_instead(item, result_in(step), result_in(added)) for item in rest
            ]
            return


def _translating(tool: Tool) -> tuple[Tool, str, str] | None:
    """Return a tool that puts a text into a language, and the names of both arguments."""
    required: Sequence[str] = tool.input_schema.get("required", ())
    to = [name for name in required if _LANGUAGE in name.lower()]
    of = [name for name in required if name not in to]
    fits = tool.effects in HARMLESS and len(to) == 1 and len(of) == 1
    return (tool, to[0], of[0]) if fits and of[0] in CONTENTS else None


def _extracting(tool: Tool) -> tuple[Tool, str, str] | None:
    """Return a tool that takes a field out of a document, and the names of both arguments."""
    required: Sequence[str] = tool.input_schema.get("required", ())
    path = [name for name in required if name in FIELD_ARGUMENTS]
    of = [name for name in required if name not in path]
    return (tool, path[0], of[0]) if len(path) == 1 and len(of) == 1 else None


def _step(tool: Tool, args: JsonObject, steps: list[JsonObject]) -> JsonObject:
    name = tool.name.replace(".", "_")
    taken = {item.get("id") for item in steps}
    return {"id": name if name not in taken else f"{name}_again", "tool": tool.name, "args": args}
