"""Whether values of one JSON Schema fit another: surely not, perhaps not, or as far as one can say.

`mismatch` is conservative: something is called wrong only when no value could be right. `doubt`
names what some values of the source would break: null, another type, a value that is not allowed.
Schemas are as in `flowbuilder.schemapaths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flowbuilder.schemapaths import (
    Hit,
    Missing,
    both,
    element,
    listed,
    lookup,
    plain,
    property_of,
    type_names,
)
from flowbuilder.types import JsonSchema

_DEEPEST_COMPARED = 4
_MOST_VALUES = 100
#: Formats of which no text has two.
_APART = frozenset({"date", "time", "date-time", "email", "uri", "ipv4", "ipv6", "uuid"})
#: Formats that name what a file or address leads to.
_MEDIA = frozenset({"image", "audio", "video", "text", "url"})
#: Lower and upper bounds that contradict each other.
_BOUNDS = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"))


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why some values of a source would not fit."""

    kind: str
    """`null`, `type` or `value`."""
    why: str


def mismatch(source: Hit, target: Hit, depth: int = 0) -> str | None:
    """Return why no value of the source schema fits the target, None when one could."""
    have = type_names(source.schema, source.root)
    want = type_names(target.schema, target.root)
    if have is None or want is None or depth > _DEEPEST_COMPARED:
        return None
    shared = both(have, want)
    if not shared:
        return f"it is {listed(have)}, but {listed(want)} is needed"
    if shared == {"array"}:
        return _elements_mismatch(source, target, depth)
    if shared == {"object"}:
        return _members_mismatch(source, target, depth)
    if "array" in shared or "object" in shared:
        return None
    return _values_mismatch(source, target, shared)


def doubt(source: Hit, target: Hit) -> Doubt | None:
    """Return why some values of the source schema do not fit the target, None when all may."""
    have = type_names(source.schema, source.root)
    want = type_names(target.schema, target.root)
    if have is None or want is None:
        return None
    allowed, given = _values(target), _values(source)
    if given is None or allowed is None:
        return _other_types(have, want) or (
            Doubt("value", f"it may be any value, but only {_shown(allowed)} will do")
            if allowed is not None and "null" not in want
            else None
        )
    more = {key: given[key] for key in given if key not in allowed}
    if more:
        return Doubt("value", f"it may be {_shown(more)}, but only {_shown(allowed)} will do")
    return None


def _other_types(have: frozenset[str], want: frozenset[str]) -> Doubt | None:
    left = have - want - ({"integer"} if "number" in want else set())
    if "null" in left:
        return Doubt("null", f"it may be null, but {listed(want)} is needed")
    if left:
        return Doubt("type", f"it may be {listed(left)}, but {listed(want)} is needed")
    return None


def may_lack(schema: JsonSchema, path: Sequence[str | int], root: JsonSchema) -> str | None:
    """Return the first name of a path that a value may lack though the schema knows it.

    A schema that lists what is `required` means the list; one without it says nothing.
    """
    at = Hit(schema, root)
    for part in path:
        kinds = type_names(at.schema, at.root)
        if kinds is not None and "null" in kinds and len(kinds) > 1:
            return str(part)
        known = plain(at.schema, at.root)
        if isinstance(part, str) and known is not None and _is_optional(known, part):
            return part
        found = lookup(at.schema, [part], at.root)
        if not isinstance(found, Hit):
            return None
        at = found
    return None


def _is_optional(schema: JsonSchema, name: str) -> bool:
    required, shape = schema.get("required"), schema.get("properties", {}).get(name)
    if not isinstance(shape, dict) or "default" in shape:
        return False
    return isinstance(required, list) and bool(required) and name not in required


def _values_mismatch(source: Hit, target: Hit, shared: frozenset[str]) -> str | None:
    given, allowed = _values(source), _values(target)
    if given is not None and allowed is not None and given.keys().isdisjoint(allowed):
        return f"it is {_shown(given)}, but only {_shown(allowed)} will do"
    if "null" in shared:
        return None
    have, want = plain(source.schema, source.root), plain(target.schema, target.root)
    if have is None or want is None:
        return None
    if "string" in shared and (why := _formats_mismatch(have, want)):
        return why
    for low, high in _BOUNDS:
        if _over(have.get(low), want.get(high)) or _over(want.get(low), have.get(high)):
            return f"its {low} and {high} leave no value that both sides allow"
    return None


def _over(low: Any, high: Any) -> bool:
    return isinstance(low, int | float) and isinstance(high, int | float) and low > high


def _formats_mismatch(have: JsonSchema, want: JsonSchema) -> str | None:
    given, needed = str(have.get("format")), str(want.get("format"))
    for kinds in (_APART, _MEDIA):
        if given != needed and {given, needed} <= kinds:
            return f"it has the format {given}, but {needed} is needed"
    if "contentMediaType" in have and "contentMediaType" in want:
        given, needed = str(have["contentMediaType"]), str(want["contentMediaType"])
        kind, wanted = given.partition("/")[0], needed.partition("/")[0]
        if kind != wanted and "*" not in (kind, wanted):
            return f"it is {given}, but {needed} is needed"
    return None


def _values(hit: Hit) -> dict[bytes, Any] | None:
    """Return the values that a schema lists, by how they are written; None when it lists none."""
    schema = plain(hit.schema, hit.root)
    if schema is None:
        return None
    if "const" in schema:
        return {_key(schema["const"]): schema["const"]}
    listed_values = schema.get("enum")
    if not isinstance(listed_values, list) or not 0 < len(listed_values) <= _MOST_VALUES:
        return None
    return {_key(value): value for value in listed_values}


def _key(value: Any) -> bytes:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # 1.0 equals 1
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _shown(values: dict[bytes, Any]) -> str:
    names = [key.decode()[:40] for key in values][:10]
    return ", ".join(names) + (", ..." if len(values) > len(names) else "")


def _elements_mismatch(source: Hit, target: Hit, depth: int) -> str | None:
    have, want = element(source.schema, source.root), element(target.schema, target.root)
    if isinstance(have, Hit) and isinstance(want, Hit):
        why = mismatch(have, want, depth + 1)
        return f"of its elements, {why}" if why else None
    return None


def _members_mismatch(source: Hit, target: Hit, depth: int) -> str | None:
    needed = plain(target.schema, target.root)
    given = plain(source.schema, source.root)
    if needed is None or given is None:
        return None
    for name in needed.get("required", ()):
        have = property_of(given, name, source.root)
        if isinstance(have, Missing):
            return f"it has no field {name!r}, which is needed"
        want = property_of(needed, name, target.root)
        if name in given.get("required", ()) and isinstance(have, Hit) and isinstance(want, Hit):
            why = mismatch(have, want, depth + 1)
            if why is not None:
                return f"of its field {name!r}, {why}"
    return None
