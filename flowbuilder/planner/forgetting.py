"""See that a text is shortened where the goal wants no more than the gist of it.

A small model passes the whole text on: nothing of the goal's literals is lost by that.
"""

from __future__ import annotations

import re

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject

_WANTED = re.compile(
    r"(?i)\b(?:gist|summar\w+|boil\w* (?:\S+ ){0,4}?down|condens\w+|short(?:er|ened)? version|"
    r"in a nutshell|(?:key|main) points|digest of)\b"
)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|\S*(?:://|@|\.\w)\S*")
_SHORTENS = re.compile(r"(?i)\b(?:summar\w+|shorten\w*|condens\w+|shorter)\b")
#: Tools that may shorten a text among other things.
_MODELS = ("llm.",)


def shortens(tool: Tool) -> bool:
    """Whether a tool makes texts shorter, as far as its own words say."""
    about = f"{tool.name} {tool.summary}".replace("_", " ").replace(".", " ")
    return tool.effects in HARMLESS and _SHORTENS.search(about) is not None


def wants_gist(goal: str) -> bool:
    """Whether a goal wants a text shortened."""
    return _WANTED.search(_QUOTED.sub(" ", goal)) is not None


def forgotten_changes(document: JsonObject, registry: ToolRegistry, goal: str) -> list[Problem]:
    """Return a warning if a goal wants a gist that no step makes, though a tool could."""
    found = [tool for tool in registry if shortens(tool) and not tool.name.startswith(_MODELS)]
    steps = document.get("steps")
    used = [str(step.get("tool")) for step in steps if isinstance(step, dict)] if steps else []  # type: ignore[union-attr]
    able = {tool.name for tool in found}
    done = any(name in able or name.startswith(_MODELS) for name in used)
    if not found or done or not wants_gist(goal):
        return []
    names = " or ".join(tool.name for tool in found)
    return [
        Problem(
            code="change_forgotten",
            pointer="",
            message="the goal wants a short version, and no step makes one",
            hint=f"Add a step of {names} before the text is told or kept.",
            severity=Severity.WARNING,
            fix=Fix.MODEL,
        )
    ]
