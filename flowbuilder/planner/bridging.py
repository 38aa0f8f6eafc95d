"""Close the gap that a step leaves which a model took out of its plan.

Who waited for it waits for what it waited for itself: its end is not what they need any more, but
all that came before it still is. Only steps that may be changed are; of the others the model is
told that what they wait for is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from flowbuilder.planner.document import MENTION, steps_of, unordered
from flowbuilder.repair import Change
from flowbuilder.strictjson import dumps
from flowbuilder.types import JsonObject, JsonValue


def taken_out(before: JsonObject, after: JsonObject) -> dict[str, JsonObject]:
    """Return the steps of a document that a later one has no more, by their ids."""
    left = {str(step.get("id")) for step in steps_of(after)}
    return {name: step for step in steps_of(before) if (name := str(step.get("id"))) not in left}


def bridged(
    document: JsonObject, gone: Mapping[str, JsonObject], *, keep: Collection[str] = ()
) -> tuple[JsonObject, list[Change]]:
    """Return a document in which nobody waits for steps that are gone, and each change.

    The steps to `keep` stay as they are, and all where nothing is to be changed.
    """
    present = {str(step.get("id")) for step in steps_of(document)}
    lost = {name: step for name, step in gone.items() if name not in present}
    steps: list[JsonValue] = []
    changes: list[Change] = []
    for place, step in enumerate(steps_of(document)):
        name, before = str(step.get("id")), step.get("depends_on")
        awaited = before if isinstance(before, list) else []
        if name not in keep and any(item in lost for item in awaited if isinstance(item, str)):
            after = _instead(awaited, lost, present - {name})
            changes.append(
                Change(
                    code="unknown_dependency",
                    pointer=f"/steps/{place}/depends_on",
                    before=before,
                    after=after,
                )
            )
            step = {**step, "depends_on": after} if after else unordered(step)
        steps.append(step)
    return ({**document, "steps": steps}, changes) if changes else (document, changes)


def _instead(
    awaited: list[JsonValue], lost: Mapping[str, JsonObject], present: Collection[str]
) -> list[JsonValue]:
    """Return what is to be waited for in the place of steps that are gone, each once."""
    found: dict[str, JsonValue] = {}
    for item in awaited:
        if not isinstance(item, str) or item not in lost:
            found[dumps(item).decode()] = item
            continue
        for name in _needed(item, lost):
            if name in present:
                found[dumps(name).decode()] = name
    return list(found.values())


def _needed(name: str, lost: Mapping[str, JsonObject]) -> Iterator[str]:
    """Yield what a lost step needed; of what is lost as well, what that one needed."""
    seen, left = {name}, [name]
    while left:
        step = lost[left.pop(0)]
        after = step.get("depends_on")
        listed = (
            [item for item in after if isinstance(item, str)] if isinstance(after, list) else []
        )
        for needed in (*listed, *MENTION.findall(dumps(step).decode())):
            if needed in seen:
                continue
            seen.add(needed)
            if needed in lost:
                left.append(needed)
            else:
                yield needed
