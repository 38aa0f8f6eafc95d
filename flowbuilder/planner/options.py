"""Choose an option that a goal names in other words: who cycles goes by `bike`.

Only among the values that a tool lists, and only where the goal's words fit one of them alone.
"""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: What is said in the place of the values that mean the same.
_SAID = (
    ({"bike", "bicycle", "cycle", "cycling"}, r"cycl(?:e|es|ing)|bicycles?|by bike|on two wheels"),
    ({"walk", "walking", "foot", "on_foot"}, r"on foot|walk(?:s|ing)?|hik(?:e|es|ing)|stroll"),
    ({"car", "drive", "driving"}, r"driv(?:e|es|ing)|by car"),
    ({"train", "rail"}, r"by (?:rail|train)|railway"),
    ({"high", "urgent"}, r"urgent(?:ly)?|top priority|as soon as possible"),
)
_WORDS = [(values, re.compile(rf"(?i)\b(?:{said})\b")) for values, said in _SAID]


def spoken_options(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Set in place the options that a goal speaks of; return one sentence for each change."""
    notes = []
    steps = document.get("steps")
    bare = re.sub(r"\"[^\"]*\"|“[^”]*”|\S*(?:://|@)\S*", " ", goal)
    for step in steps if isinstance(steps, list) else []:
        tool = registry.get(str(step.get("tool"))) if isinstance(step, dict) else None
        given = step.get("args") if isinstance(step, dict) else None
        if tool is None or not isinstance(given, dict) or not isinstance(step, dict):
            continue
        shapes: dict[str, Any] = tool.input_schema.get("properties", {})
        for name, shape in shapes.items():
            value = _meant(shape, bare)
            if value is None or given.get(name) == value:
                continue
            if name not in given or given[name] == shape.get("default"):
                given[name] = value
                notes.append(f"{step.get('id')}: {name} is {value!r}, as the goal says.")
    return notes


def _meant(shape: Any, goal: str) -> JsonValue:
    """Return the one listed value that a goal speaks of in other words, None if there is none."""
    listed = shape.get("enum") if isinstance(shape, dict) else None
    found = [
        value
        for value in (listed if isinstance(listed, list) else [])
        if any(str(value).lower() in values and said.search(goal) for values, said in _WORDS)
    ]
    return found[0] if len(found) == 1 else None
