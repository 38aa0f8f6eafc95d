"""See that a text is shortened where the goal wants no more than the gist of it, and only there.

A small model passes the whole text on, of which no literal of the goal tells; or it summarizes a
sentence that the goal quotes.
"""

from __future__ import annotations

import re

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.planner.coercion import texts_of
from flowbuilder.planner.connecting import swapped
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.grounding import is_used
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry
from flowbuilder.types import JsonObject

_WANTED = re.compile(
    r"(?i)\b(?:gist|summar\w+|boil\w* (?:\S+ ){0,4}?down|condens\w+|short(?:er|ened)? version|"
    r"in a nutshell|in (?:short|brief|essence)|briefly|(?:key|main) (?:points|ideas|message)|"
    r"digest of|(?:brief|short|quick|rough) (?:overview|outline|account|idea)|highlights of|"
    r"sum(?:s|med|ming)?\s+(?:\S+\s+){0,3}up|tl;?dr|essen(?:ce|tials) of|"
    r"in (?:just |only |no more than )?(?:an? few|one|two|three|four|five|\d+) (?:short )?"
    r"(?:lines?|sentences?|words|paragraphs?|bullet points?|bullets))\b"
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


def leave_out_shortening(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Leave out steps that shorten what stands in the goal, which wants no text shortened.

    What used their result gets the text itself. Change the document in place; return one sentence
    for each change.
    """
    notes: list[str] = []
    for step in [] if wants_gist(goal) else steps_of(document):
        kept = [item for item in steps_of(document) if item is not step]
        text = _quoted_text(step, registry, goal)
        if text is None or not kept:
            continue
        name = str(step.get("id"))
        own = re.compile(rf"\$\{{\{{ steps\.{re.escape(name)}(?:\.\w+)? \}}\}}")
        changed = [swapped(item, own, text) for item in kept]
        if not is_used(step, [step, *changed]):
            document["steps"] = list(changed)
            notes.append(f"{name} was left out: the goal wants nothing shortened.")
    return notes


def _quoted_text(step: JsonObject, registry: ToolRegistry, goal: str) -> str | None:
    """Return the text of the goal that a step shortens, None if it does something else."""
    tool, given = registry.get(str(step.get("tool"))), step.get("args")
    if tool is None or not shortens(tool) or not isinstance(given, dict):
        return None
    texts = [text for value in given.values() for text in texts_of(value) if " " in text.strip()]
    return next((text for text in texts if text in goal), None)


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
