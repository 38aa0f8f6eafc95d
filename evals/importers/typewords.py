"""Words for types, as other formats have them, and JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping

from flowbuilder.schemas import validator
from flowbuilder.types import JsonSchema, JsonValue

#: Keeps the word that a schema's type was written with, where another one is usual.
WORD = "x-type"

_TYPES = {
    "string": ("string", "str", "char", "character", "text", "file", "date", "datetime", "time"),
    "integer": ("integer", "int", "long", "short", "byte", "bigint"),
    "number": ("number", "float", "double", "decimal", "numeric"),
    "boolean": ("boolean", "bool"),
    "array": ("array", "list", "tuple", "set", "arraylist"),
    "object": ("object", "dict", "dictionary", "map", "hashmap", "json"),
    "null": ("null", "none"),
}
_KNOWN = {word: name for name, words in _TYPES.items() for word in words}
#: Words that say nothing about the type.
_ANYTHING = frozenset({"any", "enum", "", "object or array", "various", "mixed"})


def json_type(word: object) -> str | None:
    """Return the JSON Schema type of a word, or None when it leaves the type open.

    Case does not count, nor what stands behind it: `Date (yyyy-mm-dd)`, `list[str]`, `int?`.
    """
    if not isinstance(word, str):
        return None
    plain = word.strip().lower()
    if plain in _ANYTHING:
        return None
    head = plain.replace("[", " ").replace("(", " ").replace("<", " ").replace("?", " ").split()
    return _KNOWN.get(plain) or (_KNOWN.get(head[0]) if head else None)


def enum_of(values: JsonValue) -> list[JsonValue] | None:
    """Return the values that a list allows; None for an empty one and for a range in words."""
    return list(values) if isinstance(values, list) and values else None


def parameter_schema(given: Mapping[str, JsonValue], *, strict_enum: bool = True) -> JsonSchema:
    """Return the JSON Schema of a parameter described with type, description, items and so on.

    Whether it is required is not part of it; what is nested (`properties`, `items`) is read too.
    """
    schema: JsonSchema = {}
    kind = json_type(given.get("type"))
    if kind is not None:
        schema["type"] = kind
    for key in ("description", "format"):
        if isinstance(given.get(key), str) and given[key] != "":
            schema[key] = given[key]
    if "default" in given:
        schema["default"] = given["default"]
    allowed = enum_of(given.get("enum"))
    if allowed is not None and strict_enum:
        schema["enum"] = allowed
        if kind is not None and not any(map(validator({"type": kind}).is_valid, allowed)):
            del schema["type"]  # else nothing at all would be right
    items = given.get("items")
    if isinstance(items, dict | str) and kind in ("array", None):
        schema["items"] = part_schema(items)
    schema.update(_members(given, kind))
    return schema


def part_schema(given: JsonValue) -> JsonSchema:
    """Return the schema of a member or an element, of which some only write the type, in a word."""
    if isinstance(given, str):
        given = {"description" if " " in given.strip() else "type": given}
    return parameter_schema(given) if isinstance(given, dict) else {}


def _members(given: Mapping[str, JsonValue], kind: str | None) -> JsonSchema:
    inner = given.get("properties")
    if not isinstance(inner, dict) or kind not in ("object", None):
        return {}
    named = {name: part for name, part in inner.items() if isinstance(part, dict | str)}
    members: JsonSchema = {"properties": {name: part_schema(part) for name, part in named.items()}}
    required = given.get("required")
    if isinstance(required, list):
        listed = [name for name in required if isinstance(name, str) and name in named]
        members |= {"required": list(dict.fromkeys(listed))} if listed else {}
    return members
