"""Arguments as they were shown beside arguments as they were edited."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from flowbuilder.strictjson import escape
from flowbuilder.types import JsonObject, JsonValue

#: Changes beyond which nobody reads on; that there are more is told.
MOST_CHANGES = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One place at which two values differ."""

    pointer: str
    kind: Literal["changed", "added", "removed"]
    before: JsonValue
    after: JsonValue


class _Missing:
    """Nothing stands there, which is not the same as null."""


_MISSING = _Missing()


def changes(before: JsonValue, after: JsonValue) -> list[Change]:
    """Return every place at which two values differ, in their order; at most `MOST_CHANGES`."""
    found: list[Change] = []
    for change in _between("", before, after):
        found.append(change)
        if len(found) == MOST_CHANGES:
            break
    return found


def touched(before: JsonObject, after: JsonObject, locked: Iterable[str]) -> list[str]:
    """Return those of the locked pointers at which two values differ."""
    return [pointer for pointer in locked if not _same(_at(before, pointer), _at(after, pointer))]


def _between(pointer: str, before: JsonValue, after: JsonValue) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            where = f"{pointer}/{escape(key)}"
            yield from _one(where, before.get(key, _MISSING), after.get(key, _MISSING))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else _MISSING
            new = after[index] if index < len(after) else _MISSING
            yield from _one(f"{pointer}/{index}", old, new)
    elif not _same(before, after):
        yield Change(pointer=pointer, kind="changed", before=before, after=after)


def _one(
    pointer: str, before: JsonValue | _Missing, after: JsonValue | _Missing
) -> Iterator[Change]:
    if isinstance(before, _Missing):
        if not isinstance(after, _Missing):
            yield Change(pointer=pointer, kind="added", before=None, after=after)
    elif isinstance(after, _Missing):
        yield Change(pointer=pointer, kind="removed", before=before, after=None)
    else:
        yield from _between(pointer, before, after)


def _at(value: JsonValue, pointer: str) -> JsonValue | _Missing:
    found: JsonValue = value
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return _MISSING
    return found


def _same(one: JsonValue | _Missing, other: JsonValue | _Missing) -> bool:
    if isinstance(one, _Missing) or isinstance(other, _Missing):
        return one is other
    # compared as JSON: true is not 1
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
