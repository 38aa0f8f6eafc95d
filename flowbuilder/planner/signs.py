"""Signs that a goal names to separate values: `;`, in a sign or in a word."""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject

_ALONE = re.compile(r"(?<![^\s(\"'`“‘])([;|:~^,])(?=[\s)\"'`”’.]|$)")
_SPOKEN = {
    "semicolon": ";", "semi-colon": ";", "tab": "\t", "tabs": "\t", "pipe": "|", "pipes": "|",
    "colon": ":", "comma": ",", "commas": ",", "semicolons": ";",
}  # fmt: skip
_WORD = re.compile(r"[a-z-]+")
#: What the goal says is not so: "instead of commas".
_DENIED = re.compile(r"(?i)\b(?:instead of|not|rather than|no)\s+(?:an?\s+|by\s+)?[\w,;|-]+")
_SEPARATORS = frozenset({"delimiter", "delim", "separator", "sep", "field_separator"})
_SPEAKS = re.compile(r"(?i)separat|delimit|divid|split|\bbetween\b|instead of")


def signs(goal: str) -> list[str]:
    """Return the signs that a goal names, each once: those that stand alone or are spoken of."""
    bare = _DENIED.sub(" ", goal)
    found = _ALONE.findall(bare)
    if _SPEAKS.search(goal):
        found += [_SPOKEN[word] for word in _WORD.findall(bare.lower()) if word in _SPOKEN]
    return list(dict.fromkeys(found))


def set_separators(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Give the one sign of a goal to the first step that takes a separator, if it has none.

    Change the document in place; return a sentence for the change.
    """
    found = signs(goal)
    steps = document.get("steps")
    for step in steps if isinstance(steps, list) and len(found) == 1 else []:
        tool = registry.get(str(step.get("tool"))) if isinstance(step, dict) else None
        given = step.get("args") if isinstance(step, dict) else None
        if tool is None or not isinstance(given, dict) or not isinstance(step, dict):
            continue
        shapes: dict[str, Any] = tool.input_schema.get("properties", {})
        name = next((item for item in shapes if item in _SEPARATORS), None)
        if name is None:
            continue
        if given.get(name, shapes[name].get("default")) == found[0]:
            return []
        given[name] = found[0]
        return [f"{step.get('id')}: {name} is {found[0]!r}, as the goal says."]
    return []
