"""What a JSON Schema says about a path: types, members, elements.

Judgements are conservative: a path is called missing only when no value could have it, with one
exception: an object schema that lists its properties means these, unless it says
`additionalProperties: true`. Schemas are 2020-12 with local `$ref`s, as pydantic writes them, and
have passed `schema_problems`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from flowbuilder.types import JsonSchema

#: How many schemas one judgement looks at before it counts as unknown: alternatives that refer to
#: alternatives multiply, and may never end.
_MOST_VISITS = 300
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
#: Keywords by which a schema itself says what members there are.
_OWN = frozenset({"type", "const", "enum", "properties", "additionalProperties",
                  "patternProperties", "items", "prefixItems"})  # fmt: skip
#: Keywords that may bring members in that are not listed.
_OPEN = ("patternProperties", "if", "then", "else", "dependentSchemas", "unevaluatedProperties",
         "$dynamicRef")  # fmt: skip
_NOWHERE = object()


@dataclass(frozen=True, slots=True)
class Hit:
    """The schema of what a path leads to. `root` is where its `$ref`s start."""

    schema: JsonSchema
    root: JsonSchema


@dataclass(frozen=True, slots=True)
class Missing:
    """A path leads to nothing: at segment number `at`, where only `known` names exist."""

    at: int
    known: tuple[str, ...]
    kind: str
    """What is there instead of an object or array with that member, e.g. `a string`."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The schema says nothing about the path."""


Look = Hit | Missing | Unknown
UNKNOWN = Unknown()


def lookup(schema: JsonSchema, path: Sequence[str | int], root: JsonSchema | None = None) -> Look:
    """Follow a path of names and positions through a schema."""
    at: Look = Hit(schema, root if root is not None else schema)
    for number, part in enumerate(path):
        if not isinstance(at, Hit):
            return at
        at = _Judge(at.root).member(at.schema, part, number)
    return at


def type_names(schema: JsonSchema, root: JsonSchema | None = None) -> frozenset[str] | None:
    """Return the JSON types that a schema admits, None when it does not say."""
    return _Judge(root if root is not None else schema).types(schema)


def plain(schema: object, root: JsonSchema) -> JsonSchema | None:
    """Return the one schema behind `$ref`s; None when there are alternatives."""
    return _Judge(root).plain(schema)


def element(schema: JsonSchema, root: JsonSchema | None = None) -> Look:
    """Return the schema of an array's elements."""
    return _Judge(root if root is not None else schema).member(schema, None, 0)


def listed(names: Iterable[str]) -> str:
    """Write types for people: `an array or a string`."""
    articles = {"array": "an array", "object": "an object", "integer": "an integer", "null": "null"}
    return " or ".join(articles.get(name, f"a {name}") for name in sorted(names))


def target(reference: str, root: object) -> object | None:
    """Return the subschema (an object, true or false) that a local `$ref` names, or None."""
    if reference in ("#", ""):
        return root
    if not reference.startswith("#/"):
        return _anchored(reference.removeprefix("#"), root)
    at = root
    for part in unquote(reference).removeprefix("#/").split("/"):
        at = _step(at, part.replace("~1", "/").replace("~0", "~"))
    return at if isinstance(at, dict | bool) else None


def subschemas(schema: object, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `(pointer, schema)` for everything in a value that may be a schema."""
    waiting: list[tuple[str, object]] = [(pointer, schema)]
    while waiting:
        where, item = waiting.pop()
        if isinstance(item, dict):
            yield where, item
            waiting += [
                (f"{where}/{key.replace('~', '~0').replace('/', '~1')}", part)
                for key, part in item.items()
                if key not in ("const", "enum", "default", "examples")
                or where.endswith(("/properties", "/$defs", "/definitions"))
            ]
        elif isinstance(item, list):
            waiting += [(f"{where}/{index}", part) for index, part in enumerate(item)]


class _Judge:
    """Looks into the schemas of one root, at no more than so many of them."""

    def __init__(self, root: JsonSchema) -> None:
        self._root = root
        self._left = _MOST_VISITS

    def member(self, schema: object, part: str | int | None, at: int) -> Look:
        """Return what a schema says about a name, a position, or (None) any element."""
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0:
            return UNKNOWN
        looks = [self.member(item, part, at) for item in self._also(schema)]
        for word in ("anyOf", "oneOf"):
            if word in schema:
                branches = [item for item in schema[word] if not _is_empty(item)]
                looks.append(_either([self.member(item, part, at) for item in branches]))
        if not looks or not _OWN.isdisjoint(schema):
            looks.append(self._own(schema, part, at))
        return _together(looks)

    def types(self, schema: object) -> frozenset[str] | None:
        """Return the types that a schema admits, None when it does not say."""
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0:
            return None
        found = [_own_types(schema), *(self.types(item) for item in self._also(schema))]
        for word in ("anyOf", "oneOf"):
            if word in schema:
                found.append(_union(self.types(item) for item in schema[word] if item is not False))
        total: frozenset[str] | None = None
        for names in found:
            if names is not None:
                total = names if total is None else both(total, names) or total
        return total

    def plain(self, schema: object) -> JsonSchema | None:
        """Return the one object schema behind `$ref`s; None when there are alternatives."""
        for _ in range(_MOST_VISITS):
            if not isinstance(schema, dict) or any(map(_divides, _alternatives(schema))):
                return None
            if "$ref" not in schema:
                return schema
            schema = target(str(schema["$ref"]), self._root)
        return None

    def _also(self, schema: JsonSchema) -> list[object]:
        """Return the schemas that judge the same value together with this one."""
        found = list(schema.get("allOf", ()))
        if "$ref" in schema:
            found.append(target(str(schema["$ref"]), self._root))
        return found

    def _own(self, schema: JsonSchema, part: str | int | None, at: int) -> Look:
        kinds = _own_types(schema)
        wanted = "object" if isinstance(part, str) else "array"
        if kinds is not None and wanted not in kinds:
            return Missing(at, (), listed(kinds))
        if isinstance(part, str):
            return property_of(schema, part, self._root, at)
        fixed = schema.get("prefixItems", [])
        if part is None and fixed:
            return UNKNOWN
        found = fixed[part] if part is not None and part < len(fixed) else schema.get("items")
        return Hit(found, self._root) if isinstance(found, dict) else UNKNOWN


def _alternatives(schema: JsonSchema) -> Iterator[object]:
    for word in ("anyOf", "oneOf", "allOf"):
        yield from schema.get(word, ())


def _divides(branch: object) -> bool:
    """Whether an alternative says more than which members are needed."""
    return not isinstance(branch, dict) or branch.keys() != {"required"}


def property_of(schema: JsonSchema, name: str, root: JsonSchema, at: int = 0) -> Look:
    """Return what an object schema itself says about one of its properties."""
    properties = schema.get("properties", {})
    if isinstance(properties.get(name), dict):
        return Hit(properties[name], root)
    if name in properties or any(word in schema for word in _OPEN):
        return UNKNOWN
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return Hit(more, root)
    if more is False or (more is None and properties):
        return Missing(at, tuple(properties), "an object")
    return UNKNOWN


def _is_empty(branch: object) -> bool:
    """Whether an alternative holds nothing with members: null alone, or no value at all."""
    return branch is False or (isinstance(branch, dict) and branch.get("type") == "null")


def _either(found: list[Look]) -> Look:
    """Judge alternatives: what is missing in one may be meant in another."""
    there = [item for item in found if not isinstance(item, Missing)]
    if not there:
        return _missing(found)
    hits = [item for item in there if isinstance(item, Hit)]
    if len(hits) < len(there):
        return UNKNOWN
    different = list({id(item.schema): item for item in hits}.values())
    if len(different) == 1:
        return different[0]
    return Hit({"anyOf": [item.schema for item in different]}, hits[0].root)


def _together(found: list[Look]) -> Look:
    """Judge schemas that all hold."""
    hits = [item for item in found if isinstance(item, Hit)]
    if len(hits) == 1:
        return hits[0]
    if hits:
        return Hit({"allOf": [item.schema for item in hits]}, hits[0].root)
    return UNKNOWN if any(isinstance(item, Unknown) for item in found) else _missing(found)


def _missing(found: list[Look]) -> Look:
    gone = [item for item in found if isinstance(item, Missing)]
    if not gone:
        return UNKNOWN
    known = dict.fromkeys(name for item in gone for name in item.known)
    first = next((item for item in gone if item.known), gone[0])
    return Missing(first.at, tuple(known), first.kind)


def _own_types(schema: JsonSchema) -> frozenset[str] | None:
    if "const" in schema:
        return frozenset({_type_of(schema["const"])})
    if schema.get("enum"):
        return frozenset(_type_of(value) for value in schema["enum"])
    named = schema.get("type")
    if isinstance(named, str):
        return frozenset({named})
    return frozenset(named) if isinstance(named, list) else None


def _union(found: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    total: frozenset[str] = frozenset()
    for item in found:
        if item is None:
            return None
        total |= item
    return total or None


def both(some: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """Return the types that are in both; 1.0 is an integer, and every integer a number."""
    shared = some & others
    if {"integer", "number"} <= some | others and some & _NUMBERS and others & _NUMBERS:
        shared |= {"integer"}
    return shared


_NUMBERS = frozenset({"integer", "number"})


def _type_of(value: object) -> str:
    return "null" if value is None else _TYPES.get(type(value), "object")


def _step(at: object, part: str) -> object:
    if isinstance(at, dict):
        return at.get(part, _NOWHERE)
    if isinstance(at, list) and part.isdecimal() and part.isascii() and int(part) < len(at):
        return at[int(part)]
    return _NOWHERE


def _anchored(name: str, root: object) -> object | None:
    words = ("$anchor", "$dynamicAnchor")
    for _, schema in subschemas(root):
        if any(schema.get(word) == name for word in words):
            return schema
    return None
