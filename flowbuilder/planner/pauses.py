"""Let what is written behind a pause wait for it: one that nothing waits for is pointless."""

from __future__ import annotations

from flowbuilder.planner.document import MENTION, steps_of
from flowbuilder.planner.rules.ordering import PAUSES
from flowbuilder.types import JsonObject


def keep_pauses(document: JsonObject) -> list[str]:
    """Put pauses and approvals that no step waits for where they are written; return notes.

    What stands before such a step is waited for by it, and what stands behind it waits for it.
    """
    notes = []
    for place, step in enumerate(steps_of(document)):
        steps = steps_of(document)
        name = str(step.get("id"))
        if str(step.get("tool")).partition("@")[0] not in PAUSES:
            continue
        if any(name in _needs(other) for other in steps) or place + 1 == len(steps):
            continue
        if not _needs(step) and place:
            _wait(step, str(steps[place - 1].get("id")))
        for later in steps[place + 1 :]:
            if str(later.get("id")) in _behind(step, steps) or name in _behind(later, steps):
                continue
            _wait(later, name)
            notes.append(f"{later.get('id')} waits for {name}, as the order of the steps has it.")
    return notes


def _wait(step: JsonObject, name: str) -> None:
    before = step.get("depends_on")
    step["depends_on"] = [*(before if isinstance(before, list) else []), name]


def _needs(step: JsonObject) -> set[str]:
    """Return the ids of the steps that one waits for."""
    before = step.get("depends_on")
    named = [str(name) for name in before] if isinstance(before, list) else []
    parts = [step.get(key) for key in ("args", "when", "for_each")]
    return {*named, *MENTION.findall(repr(parts))}


def _behind(step: JsonObject, steps: list[JsonObject]) -> set[str]:
    """Return the ids of all steps that one waits for, directly or not."""
    by_id = {str(other.get("id")): other for other in steps}
    found: set[str] = set()
    waiting = [step]
    while waiting:
        for name in _needs(waiting.pop()) - found:
            found.add(name)
            if name in by_id:
                waiting.append(by_id[name])
    return found
