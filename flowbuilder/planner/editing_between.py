"""A step that an edit adds to order or narrow what a later step takes: it is put between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from flowbuilder.planner.document import REFERENCE, mention_of, steps_of, taking_instead
from flowbuilder.planner.editing_changes import users_of
from flowbuilder.references import CLOSE, OPEN
from flowbuilder.tools import HARMLESS, ToolRegistry
from flowbuilder.types import JsonObject

#: Words of who wants what is there in another order, or less of it.
_BEFORE = re.compile(r"\bbefore\s+\w+ing\b", re.IGNORECASE)
_SHAPING = re.compile(
    r"^(?:(?:please|also|then|and)\s+)*(?:sort|order|rank|keep|limit|filter|only|drop|leave out|"
    r"exclude|omit|restrict|narrow)\b|\bbefore\s+\w+ing\b",
    re.IGNORECASE,
)


def put_between(
    clause: str, document: JsonObject, added: Sequence[str], registry: ToolRegistry
) -> tuple[str | None, str | None]:
    """Let the one step that takes the same take what an added step gives; change the document.

    Return a note of what was changed, and a doubt where that is not certain: what the words order
    would have no effect then.
    """
    if not _SHAPING.search(clause.strip()) or not added:
        return None, None
    steps = {str(step.get("id")): step for step in steps_of(document)}
    last = steps[added[-1]]
    if _is_used(document, added[-1]) or not _is_harmless(last, registry):
        return None, None
    sources = {
        name
        for name in steps
        if name not in added and set(added).intersection(users_of(document, name))
    }
    users = [
        user
        for user in steps
        if user not in added and any(user in users_of(document, name) for name in sources)
    ]
    told = sources & _in_output(document)
    if not users and not told:
        return None, None
    ways = _way(last, registry) if len(added) == 1 else None
    alone = len(users) == 1 and len(sources) == 1 and not told
    if alone and _BEFORE.search(clause):  # before an act
        alone = not _is_harmless(steps[users[0]], registry)
    if ways is not None and alone:
        old, new = ways
        [source] = sources
        changed = taking_instead(steps[users[0]], old, new)
        if changed != steps[users[0]] and not _mentions(changed, source):
            _replace(document, users[0], changed, last)
            return f"{users[0]} now takes what {added[0]} gives.", None
    others = f": {', '.join(users)} still takes what there was before" if users else ""
    return None, f"Nothing takes what {added[-1]} gives{others}."


def _way(step: JsonObject, registry: ToolRegistry) -> tuple[str, str] | None:
    """Return the one reference that a step takes and the one to what it gives in its place."""
    tool = registry.get(str(step.get("tool")))
    given: Any = step.get("args") or {}
    taken = [name for name, value in given.items() if "steps." in str(value)]
    if tool is None or len(taken) != 1 or "for_each" in step or "when" in step:
        return None
    (name,) = taken
    old = given[name]
    shapes = (tool.input_schema, tool.output_schema)
    kinds = [(shape.get("properties") or {}).get(name, {}).get("type") for shape in shapes]
    if kinds[0] is None or kinds[0] != kinds[1]:
        return None
    if not isinstance(old, str) or not REFERENCE.fullmatch(old):
        return None
    return old, f"{OPEN} steps.{step['id']}.{name} {CLOSE}"


def _replace(document: JsonObject, name: str, changed: JsonObject, added: JsonObject) -> None:
    """Put a changed step in its place, and the added one before it."""
    steps: Any = document["steps"]
    steps.remove(added)
    place = next(at for at, step in enumerate(steps) if step.get("id") == name)
    steps[place : place + 1] = [added, changed]


def _is_used(document: JsonObject, name: str) -> bool:
    return bool(users_of(document, name)) or name in _in_output(document)


def _in_output(document: JsonObject) -> set[str]:
    said = str(document.get("output"))
    return {str(step.get("id")) for step in steps_of(document) if _names(said, str(step["id"]))}


def _mentions(step: JsonObject, name: str) -> bool:
    waits = step.get("depends_on")
    rest = {key: value for key, value in step.items() if key != "depends_on"}
    return _names(str(rest), name) or (isinstance(waits, list) and name in waits)


def _names(text: str, name: str) -> bool:
    return mention_of(name).search(text) is not None


def _is_harmless(step: JsonObject, registry: ToolRegistry) -> bool:
    tool = registry.get(str(step.get("tool")))
    return tool is not None and tool.effects in HARMLESS
