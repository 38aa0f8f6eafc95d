"""Closed schemas: what fits one can hold no words of somebody else's.

Numbers, truth values, null, given choices, dates and times, and lists and objects of these with
given keys. `format` is a note for readers in JSON Schema, so who relies on it asks `misfit`.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Any

from flowbuilder.strictjson import dumps
from flowbuilder.types import JsonValue

_SCALARS = frozenset({"boolean", "integer", "number", "null"})
_FORMATS = frozenset({"date", "date-time", "time"})
_ASCII_TIME = re.compile(r"[0-9TZtz:.+-]{5,40}")
_DEEPEST = 12


def is_closed(schema: object, depth: int = 0) -> bool:
    """Whether every value of a schema is without free text."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return False
    if "const" in schema or "enum" in schema:
        return True
    for name in ("anyOf", "oneOf"):
        if name in schema:
            parts = schema[name]
            return isinstance(parts, list) and all(is_closed(item, depth + 1) for item in parts)
    named = schema.get("type")
    kinds = named if isinstance(named, list) else [named]
    return bool(kinds) and all(_is_closed_kind(kind, schema, depth) for kind in kinds)


def _is_closed_kind(kind: object, schema: dict[str, Any], depth: int) -> bool:
    if kind == "string":
        return schema.get("format") in _FORMATS
    if kind == "array":
        return "prefixItems" not in schema and is_closed(schema.get("items"), depth + 1)
    if kind == "object":
        fields = schema.get("properties", {})
        shut = schema.get("additionalProperties") is False and "patternProperties" not in schema
        return (
            shut
            and isinstance(fields, dict)
            and all(is_closed(item, depth + 1) for item in fields.values())
        )
    return kind in _SCALARS


def misfit(value: JsonValue, schema: object, pointer: str = "") -> str | None:
    """Return where a value of a closed schema has a text that is no date or time, None: nowhere.

    The value fits the schema otherwise.
    """
    if not isinstance(schema, dict):
        return pointer
    if "const" in schema or "enum" in schema:
        given = schema.get("enum", [schema.get("const")])
        return None if dumps(value) in [dumps(item) for item in given] else pointer
    for name in ("anyOf", "oneOf"):
        if name in schema:
            places = [misfit(value, item, pointer) for item in schema[name]]
            return None if None in places else (places or [pointer])[0]
    if isinstance(value, str):
        return None if _is_moment(value, schema.get("format")) else pointer
    inside: list[tuple[JsonValue, object, str]] = []
    if isinstance(value, list):
        inside = [(item, schema.get("items"), f"{pointer}/{n}") for n, item in enumerate(value)]
    elif isinstance(value, dict):
        fields = schema.get("properties", {})
        inside = [(item, fields.get(key), f"{pointer}/{key}") for key, item in value.items()]
    return next((found for item in inside if (found := misfit(*item)) is not None), None)


def _is_moment(text: str, format: object) -> bool:
    if not _ASCII_TIME.fullmatch(text):
        return False
    readers = {"date": date.fromisoformat, "time": time.fromisoformat}
    try:
        readers.get(str(format), datetime.fromisoformat)(text.upper())
    except ValueError:
        return False
    return format in _FORMATS
