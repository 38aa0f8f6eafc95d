"""Leave out what is done twice: the same look-up, order, or mail with another text."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from flowbuilder.planner.document import mention_of, not_after, steps_of, tool_of, with_texts
from flowbuilder.planner.grounding import COMPOSED, is_used
from flowbuilder.tools import HARMLESS, ToolRegistry
from flowbuilder.types import JsonObject


def leave_out_doubles(document: JsonObject, registry: ToolRegistry, goal: str) -> list[str]:
    """Leave out steps that act just as another does and that nothing uses.

    Alike are steps with the same arguments, and those which differ only in a text that neither the
    goal nor a step says, where the other's text comes from there. Change the document in place;
    return one sentence for each change.
    """
    notes = []
    for step in reversed(steps_of(document)):
        kept = steps_of(document)
        others = [item for item in kept if item is not step]
        tool = tool_of(step, registry)
        if tool is None or tool.effects in HARMLESS or is_used(step, others):
            continue
        alike = [item for item in others if _frame(item) == _frame(step)]
        twin = next((item for item in alike if _is_double(step, item, kept, goal)), None)
        twin = twin or next((item for item in others if _is_redone(step, item)), None)
        if twin is not None:
            document["steps"] = [not_after(item, step) for item in others]
            notes.append(f"{step.get('id')} was left out: {twin.get('id')} does that already.")
    return notes


def leave_out_copies(document: JsonObject, registry: ToolRegistry) -> list[str]:
    """Leave out look-ups that are made twice in the same words: the first result serves all.

    Change the document in place; return one sentence for each change.
    """
    notes = []
    seen: dict[str, str] = {}
    for step in list(steps_of(document)):
        tool, name = tool_of(step, registry), str(step.get("id"))
        rest = {key: value for key, value in step.items() if key not in ("id", "depends_on")}
        said = json.dumps(rest, sort_keys=True)
        if tool is None or tool.effects not in HARMLESS:
            seen.clear()  # what is looked up may be different from here on
            continue
        if seen.setdefault(said, name) == name:
            continue
        own = mention_of(name)
        first = f"steps.{seen[said]}"
        kept = [item for item in steps_of(document) if item is not step]
        document["steps"] = [
            with_texts(not_after(item, step), partial(own.sub, first)) for item in kept
        ]
        notes.append(f"{name} was left out: {seen[said]} is the same.")
    return notes


def _is_double(step: JsonObject, other: JsonObject, steps: list[JsonObject], goal: str) -> bool:
    if _texts(step) == _texts(other):
        return steps.index(other) < steps.index(step)
    return not _is_said(step, goal) and _is_said(other, goal)


def _is_redone(step: JsonObject, other: JsonObject) -> bool:
    """Whether a step does to the result of another what that one has done: a second resizing."""
    ours: Any = step.get("args") or {}
    theirs: Any = other.get("args") or {}
    changed = [name for name in ours if ours[name] != theirs.get(name)]
    result = f"${{{{ steps.{other.get('id')}"
    alike = step.get("tool") == other.get("tool") and set(ours) == set(theirs)
    plain = "for_each" not in step and "for_each" not in other and len(changed) < len(ours)
    return alike and plain and len(changed) == 1 and str(ours[changed[0]]).startswith(result)


def _is_said(step: JsonObject, goal: str) -> bool:
    """Whether a text that is told comes from the goal or from another step."""
    return any("${{" in text or text.strip().lower() in goal.lower() for text in _texts(step))


def _frame(step: JsonObject) -> str:
    """Return a step without its name, its place and the texts that are composed."""
    given: Any = step.get("args")
    args = {name: item for name, item in given.items() if name not in COMPOSED} if given else {}
    rest = {key: step.get(key) for key in ("tool", "for_each", "when")}
    return json.dumps([rest, args], sort_keys=True)


def _texts(step: JsonObject) -> list[str]:
    given: Any = step.get("args")
    items = sorted(given.items()) if given else []
    return [item for name, item in items if name in COMPOSED and isinstance(item, str) and item]
