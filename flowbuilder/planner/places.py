"""What became of the steps of a document in a later one: where they stand, which are others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowbuilder.planner.document import steps_of
from flowbuilder.strictjson import dumps
from flowbuilder.types import JsonObject


def moved(before: JsonObject, after: JsonObject) -> dict[int, int]:
    """Return where the steps of a document stand in a later one; what is gone is left out."""
    now = _places(steps_of(after))
    return {place: now[key] for key, place in _places(steps_of(before)).items() if key in now}


def _places(steps: Iterable[JsonObject]) -> dict[tuple[str, int], int]:
    """Return the places of steps by id, and by number where several have it."""
    seen: dict[str, int] = {}
    found: dict[tuple[str, int], int] = {}
    for place, step in enumerate(steps):
        name = str(step.get("id"))
        seen[name] = seen.get(name, 0) + 1
        found[(name, seen[name])] = place
    return found


def differences(before: Iterable[JsonObject], after: Iterable[JsonObject]) -> JsonObject:
    """Return the ids of the steps that were changed, added and removed, compared byte by byte."""
    old = {str(step.get("id")): dumps(step) for step in before}
    new = {str(step.get("id")): dumps(step) for step in after}
    return {
        "changed": [name for name, text in new.items() if old.get(name, text) != text],
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
    }


def follow(pointer: str, places: Mapping[int, int]) -> str | None:
    """Return a pointer into a document for the later one; None if its step is gone."""
    parts = pointer.split("/")
    if parts[:2] != ["", "steps"] or len(parts) < 3 or not parts[2].isdecimal():
        return pointer
    place = places.get(int(parts[2]))
    return None if place is None else "/".join([*parts[:2], str(place), *parts[3:]])
