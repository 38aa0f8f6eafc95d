"""What a JSON Schema says about a path, and whether a value of one schema can fit another.

Judgements are conservative: something is called wrong only when no value could be right. Schemas
are 2020-12 with local `$ref`s, as pydantic writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from flowbuilder.errors import Problem
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonSchema, JsonValue

#: How many `$ref`s are followed before a schema counts as unknown.
_DEEPEST = 40
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}


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
    """What is there instead of an object or array with that member, e.g. `string`."""


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
        at = _member(at.schema, part, at.root, number, 0)
    return at


def type_names(schema: JsonSchema, root: JsonSchema | None = None) -> frozenset[str] | None:
    """Return the JSON types that a schema admits, None when it does not say."""
    return _types(schema, root if root is not None else schema, 0)


def element(schema: JsonSchema, root: JsonSchema | None = None) -> Look:
    """Return the schema of an array's elements."""
    top = root if root is not None else schema
    return _member(schema, 0, top, 0, 0)


def mismatch(source: Hit, target: Hit, depth: int = 0) -> str | None:
    """Return why no value of the source schema fits the target, None when one could."""
    have = type_names(source.schema, source.root)
    want = type_names(target.schema, target.root)
    if have is None or want is None or depth > 4:
        return None
    wide = want | ({"integer"} if "number" in want else set())
    wide |= {"number"} if "integer" in wide else set()
    if not have & wide:
        return f"it is {_listed(have)}, but {_listed(want)} is needed"
    if have & wide == {"array"}:
        return _elements_mismatch(source, target, depth)
    if have & wide == {"object"}:
        return _members_mismatch(source, target)
    return None


def schema_problems(schema: object, pointer: str) -> list[Problem]:
    """Return what keeps a value from being a usable JSON Schema; remote `$ref`s are refused."""
    if not isinstance(schema, dict):
        return [_bad_schema(pointer, "a JSON Schema is an object here")]
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "".join(f"/{escape(str(part))}" for part in error.absolute_path)
        return [_bad_schema(pointer + where, error.message[:300])]
    return [
        _bad_schema(f"{pointer}{where}", f"$ref {reference!r:.80} leads out of the document")
        for where, reference in _references(schema, "")
        if not reference.startswith("#")
        or (reference != "#" and _resolve(reference, schema) is None)
    ]


def value_problems(
    schema: JsonSchema, value: JsonValue, *, code: str, pointer: str
) -> list[Problem]:
    """Return a problem for every finding of a value against a schema."""
    return [
        Problem(code=code, pointer=pointer + path_of(error), message=error.message[:500])
        for error in sorted(validator(schema).iter_errors(value), key=path_of)
    ]


def path_of(error: ValidationError) -> str:
    """Return the JSON pointer of a jsonschema error inside the value."""
    return "".join(f"/{escape(str(part))}" for part in error.absolute_path)


def validator(schema: JsonSchema) -> Draft202012Validator:
    """Return a validator for a schema, cached by its content."""
    return _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))


def with_defaults(schema: JsonSchema, value: JsonValue) -> JsonValue:
    """Return an object with the schema's `default`s in the place of absent properties."""
    properties = schema.get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return value
    filled = dict(value)
    for name, part in properties.items():
        if name not in filled and isinstance(part, dict) and "default" in part:
            filled[name] = deepcopy(part["default"])
    return filled


@lru_cache(maxsize=1024)
def _validator(schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(orjson.loads(schema))


def _bad_schema(pointer: str, message: str) -> Problem:
    return Problem(code="input_schema_invalid", pointer=pointer, message=message)


def _references(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield f"{pointer}/$ref", item
            else:
                yield from _references(item, f"{pointer}/{escape(str(key))}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, f"{pointer}/{index}")


def _resolve(reference: str, root: JsonSchema) -> JsonSchema | None:
    at: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(at, dict) or name not in at:
            return None
        at = at[name]
    return at if isinstance(at, dict) else None


def _branches(schema: JsonSchema) -> list[JsonSchema]:
    """Return the alternatives of a schema, the one that is only null left out."""
    listed = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return [item for item in listed if isinstance(item, dict) and item.get("type") != "null"]


def _member(schema: JsonSchema, part: str | int, root: JsonSchema, at: int, depth: int) -> Look:
    if depth > _DEEPEST or not isinstance(schema, dict):
        return UNKNOWN
    if "$ref" in schema:
        target = _resolve(str(schema["$ref"]), root)
        return UNKNOWN if target is None else _member(target, part, root, at, depth + 1)
    branches = _branches(schema)
    if branches:
        return _best([_member(item, part, root, at, depth + 1) for item in branches])
    if "allOf" in schema:
        found = [_member(item, part, root, at, depth + 1) for item in schema["allOf"]]
        return _best([*found, _own_member(schema, part, root, at)])
    return _own_member(schema, part, root, at)


def _own_member(schema: JsonSchema, part: str | int, root: JsonSchema, at: int) -> Look:
    kinds = _types(schema, root, 0)
    if isinstance(part, int):
        if kinds is not None and "array" not in kinds:
            return Missing(at, (), _listed(kinds))
        fixed = schema.get("prefixItems", [])
        if part < len(fixed):
            return Hit(fixed[part], root)
        items = schema.get("items")
        return Hit(items, root) if isinstance(items, dict) else UNKNOWN
    if kinds is not None and "object" not in kinds:
        return Missing(at, (), _listed(kinds))
    return _own_property(schema, part, root, at)


def _own_property(schema: JsonSchema, name: str, root: JsonSchema, at: int) -> Look:
    properties = schema.get("properties", {})
    if isinstance(properties.get(name), dict):
        return Hit(properties[name], root)
    if name in properties or "patternProperties" in schema:
        return UNKNOWN
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return Hit(more, root)
    # A schema that lists its fields means these, though JSON Schema would let others pass.
    if more is False or (more is None and properties):
        return Missing(at, tuple(properties), "object")
    return UNKNOWN


def _best(found: list[Look]) -> Look:
    hits = [item for item in found if isinstance(item, Hit)]
    if len(hits) == 1:
        return hits[0]
    if hits:
        return Hit({"anyOf": [item.schema for item in hits]}, hits[0].root)
    if any(isinstance(item, Unknown) for item in found):
        return UNKNOWN
    known = [name for item in found if isinstance(item, Missing) for name in item.known]
    first = next(item for item in found if isinstance(item, Missing))
    return Missing(first.at, tuple(dict.fromkeys(known)), first.kind)


def _types(schema: object, root: JsonSchema, depth: int) -> frozenset[str] | None:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if "$ref" in schema:
        target = _resolve(str(schema["$ref"]), root)
        return None if target is None else _types(target, root, depth + 1)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return _union(_types(item, root, depth + 1) for item in schema[word])
    if "const" in schema:
        return frozenset({_type_of(schema["const"])})
    if isinstance(schema.get("enum"), list):
        return frozenset(_type_of(value) for value in schema["enum"])
    named = schema.get("type")
    if isinstance(named, str):
        return frozenset({named})
    if isinstance(named, list):
        return frozenset(named)
    for part in schema.get("allOf", ()):
        found = _types(part, root, depth + 1)
        if found is not None:
            return found
    return None


def _union(found: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    total: frozenset[str] = frozenset()
    for item in found:
        if item is None:
            return None
        total |= item
    return total


def _type_of(value: object) -> str:
    return "null" if value is None else _TYPES.get(type(value), "object")


def _listed(names: frozenset[str]) -> str:
    articles = {"array": "an array", "object": "an object", "integer": "an integer", "null": "null"}
    return " or ".join(articles.get(name, f"a {name}") for name in sorted(names))


def _elements_mismatch(source: Hit, target: Hit, depth: int) -> str | None:
    have, want = element(source.schema, source.root), element(target.schema, target.root)
    if isinstance(have, Hit) and isinstance(want, Hit):
        why = mismatch(have, want, depth + 1)
        return f"of its elements, {why}" if why else None
    return None


def _members_mismatch(source: Hit, target: Hit) -> str | None:
    needed = _plain_object(target)
    given = _plain_object(source)
    if needed is None or given is None:
        return None
    for name in needed.get("required", ()):
        if isinstance(_own_property(given, name, source.root, 0), Missing):
            return f"it has no field {name!r}, which is needed"
    return None


def _plain_object(hit: Hit) -> JsonSchema | None:
    """Return the one object schema behind `$ref`s; None when there are alternatives."""
    schema = hit.schema
    for _ in range(_DEEPEST):
        if "$ref" not in schema:
            break
        target = _resolve(str(schema["$ref"]), hit.root)
        if target is None:
            return None
        schema = target
    if any(word in schema for word in ("anyOf", "oneOf", "allOf")):
        return None
    return schema
