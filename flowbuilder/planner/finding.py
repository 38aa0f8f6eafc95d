"""Find out by a look-up whom a step is to reach, where the goal names somebody and no address."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuilder.plan import Question
from flowbuilder.planner.argument_names import MAIL, MAILS, PHONE, PHONES, open_kind
from flowbuilder.planner.asking import place_of
from flowbuilder.planner.coercion import kinds_of
from flowbuilder.planner.document import fields_of, steps_of, tool_of
from flowbuilder.planner.literals import lost_literals
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject

#: What somebody can be reached by, or a reference to it.
_REACHES = re.compile(r"@|\$\{\{|\d{3}")


def answer_by_look_up(
    document: JsonObject, questions: Sequence[Question], registry: ToolRegistry, goal: str
) -> tuple[tuple[Question, ...], list[str]]:
    """Answer the question for somebody's address by looking up the one name that is lost.

    Where one tool finds such an address by a name and nothing else. Change the document in place;
    return the questions left, and one sentence for each change.
    """
    lost = [
        item.message.split(" of the goal ")[0].removeprefix("the name ")
        for item in lost_literals(goal, document, registry)
        if item.message.startswith("the name ")
    ]
    if len(questions) != 1 or len(lost) != 1:
        return tuple(questions), []
    index, name = place_of(questions[0])
    step = steps_of(document)[index]
    tool, given = tool_of(step, registry), step.get("args")
    found = _finders(name, tool, registry) if tool else []
    if len(found) != 1 or not isinstance(given, dict):
        return tuple(questions), []
    return (), [_look_up(document, step, given, name, lost[0], found[0])]


def look_up_receivers(document: JsonObject, registry: ToolRegistry) -> list[str]:
    """Look up the address of somebody whose name stands in its place.

    Where one tool finds such an address by a name and nothing else. Change the document in place;
    return one sentence for each change.
    """
    notes = []
    for step in steps_of(document):
        tool, given = tool_of(step, registry), step.get("args")
        for name, value in list(given.items()) if tool and isinstance(given, dict) else ():
            if not isinstance(value, str) or _REACHES.search(value) or not value.strip():
                continue
            found = _finders(name, tool, registry) if tool else []
            if len(found) == 1 and isinstance(given, dict):
                notes.append(_look_up(document, step, given, name, value, found[0]))
    return notes


def _look_up(
    document: JsonObject,
    step: JsonObject,
    given: JsonObject,
    name: str,
    whom: str,
    found: tuple[Tool, str],
) -> str:
    """Put a look-up before a step, and its result into an argument."""
    finder, field = found
    (key,) = finder.input_schema["required"]
    steps = steps_of(document)
    for before in steps[: steps.index(step)]:
        if before.get("tool") == finder.name and before.get("args") == {key: whom}:
            given[name] = f"${{{{ steps.{before.get('id')}.{field} }}}}"
            return f"{step.get('id')}: {name} is what {before.get('id')} finds."
    taken = {item.get("id") for item in steps}
    own = finder.name.replace(".", "_")
    own = own if own not in taken else f"{own}_for_{step.get('id')}"
    given[name] = f"${{{{ steps.{own}.{field} }}}}"
    added: JsonObject = {"id": own, "tool": finder.name, "args": {key: whom}}
    place = steps.index(step)
    document["steps"] = [*steps[:place], added, *steps[place:]]
    return f"{step.get('id')}: {name} is looked up by {finder.name}."


def _finders(name: str, tool: Tool, registry: ToolRegistry) -> list[tuple[Tool, str]]:
    """Return the tools that find what an argument takes, each with the field that it is in."""
    wanted = _fields_for(name, tool)
    return [(finder, field) for finder in registry for field in _found_by(finder) & wanted]


def _fields_for(name: str, tool: Tool) -> frozenset[str]:
    """Return the fields of a record that an argument takes, none if it takes no address."""
    kind = open_kind(name, tool)
    if name in MAILS or kind == MAIL:
        return MAILS
    return PHONES if name in PHONES or kind == PHONE else frozenset()


def _found_by(tool: Tool) -> frozenset[str]:
    """Return the fields of a record that a tool finds by one text and nothing else."""
    required = tool.input_schema.get("required", ())
    shapes = tool.input_schema.get("properties", {})
    by_text = len(required) == 1 and "string" in kinds_of(shapes.get(required[0]))
    single = tool.output_schema.get("type") != "array"
    if tool.effects not in HARMLESS or not by_text or not single or required[0] in MAILS | PHONES:
        return frozenset()
    return frozenset(fields_of(tool))
