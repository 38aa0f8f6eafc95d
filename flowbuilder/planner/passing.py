"""Hand on what steps made the way a later step takes it: a list as it is, a file by its name."""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.planner.argument_names import FILES
from flowbuilder.planner.coercion import kinds_of, takes_texts, texts_of
from flowbuilder.planner.document import REFERENCE, result_in, steps_of, tool_of
from flowbuilder.planner.grounding import COMPOSED
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

_HANDED = FILES | {"attachment", "attachments", "files"}
#: A tool that says that it gives back the name of a file.
_MAKES = re.compile(r"(?i)\breturns? (?:\S+ ){0,3}?(?:path|file ?name)\b")


def hand_on(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Mend a document in place; return one sentence for each change.

    A list of nothing but a reference to a list becomes that reference, and a text where texts are
    taken a list of that text. A file that the goal does
    not name, and that no step writes, is the one that an earlier step says it made.
    """
    notes, made = [], None
    steps = steps_of(document)
    types = {str(step.get("id")): _kinds(step, registry) for step in steps}
    for step in steps:
        tool, given = tool_of(step, registry), step.get("args")
        if tool is None or not isinstance(given, dict):
            continue
        shapes: dict[str, Any] = tool.input_schema.get("properties", {})
        for name, value in given.items():
            found = REFERENCE.fullmatch(_only(value))
            if found and not found[2] and "array" in types.get(found[1], set()):
                if not _listed_twice(shapes.get(name)):
                    given[name] = _only(value)
                    notes.append(f"{step.get('id')}: {name} is the list {_only(value)} itself.")
            elif _is_one_text(value, types) and takes_texts(shapes.get(name)):
                given[name] = [value]
                notes.append(f"{step.get('id')}: {name} is a list of {value} alone.")
            elif made and name in _HANDED and _is_invented(value, tool, goal):
                given[name] = [made] if isinstance(value, list) else made
                notes.append(f"{step.get('id')}: {name} is the file that {made} names.")
        if kinds_of(tool.output_schema) == {"string"} and _MAKES.search(tool.summary):
            made = result_in(step) if "for_each" not in step else None
    return notes


def _is_one_text(value: JsonValue, types: dict[str, set[str]]) -> bool:
    """Whether a value is nothing but a reference to a result that is a text."""
    found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found is not None and not found[2] and types.get(found[1]) == {"string"}


def _kinds(step: JsonObject, registry: ToolRegistry) -> set[str]:
    tool = tool_of(step, registry)
    if "for_each" in step:
        return {"array"}
    return kinds_of(tool.output_schema) if tool else set()


def _only(value: JsonValue) -> str:
    """Return the one text of a list, nothing if that is not what it is."""
    texts = texts_of(value) if isinstance(value, list) and len(value) == 1 else []
    return texts[0] if texts else ""


def _listed_twice(shape: Any) -> bool:
    """Whether a schema takes lists within a list, or may do so."""
    if not isinstance(shape, dict) or kinds_of(shape) != {"array"}:
        return True
    items = shape.get("items")
    return not items or "array" in kinds_of(items)


def _is_invented(value: JsonValue, tool: Tool, goal: str) -> bool:
    """Whether a file was thought up by the model, and not to be written by the step itself."""
    texts = texts_of(value)
    writes = COMPOSED & set(tool.input_schema.get("required", ()))
    foreign = all("${{" not in text and text.lower() not in goal.lower() for text in texts)
    return bool(texts) and foreign and not writes
