"""Mend what needs no model: values of the wrong spelling, optional arguments that say nothing."""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

_INTEGER = re.compile(r"^-?\d{1,15}$")
_NUMBER = re.compile(r"^-?\d{1,15}(\.\d{1,15})?$")
_REFERENCE = re.compile(r"^\$\{\{.*\}\}$", re.DOTALL)


def coerce(document: JsonObject, registry: ToolRegistry) -> list[str]:
    """Mend the arguments of a document in place; return one sentence for each change."""
    notes: list[str] = []
    steps = document.get("steps")
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict):
            continue
        name, arguments = step.get("tool"), step.get("args")
        tool = registry.get(name) if isinstance(name, str) else None
        if tool is not None and isinstance(arguments, dict):
            notes.extend(_mend(str(step.get("id")), arguments, tool.input_schema))
    return notes


def _mend(step: str, arguments: JsonObject, schema: JsonSchema) -> list[str]:
    notes = []
    required = set(schema.get("required", ()))
    for name, shape in schema.get("properties", {}).items():
        if name not in arguments:
            continue
        value = arguments[name]
        kinds = kinds_of(shape)
        if value is None and name not in required and kinds and "null" not in kinds:
            del arguments[name]
            notes.append(f"{step}: the empty optional argument {name} was left out.")
            continue
        mended = _respelt(value, kinds)
        if isinstance(value, str) and takes_texts(shape) and not _REFERENCE.match(value):
            mended = [value]
        if type(mended) is not type(value):
            arguments[name] = mended
            notes.append(f"{step}: {name} was written as {type(value).__name__}, now {mended!r}.")
    return notes


def _respelt(value: JsonValue, kinds: set[str]) -> JsonValue:
    if isinstance(value, list) and len(value) == 1 and kinds == {"string"}:
        return value[0] if isinstance(value[0], str) else value
    if isinstance(value, str) and kinds and "string" not in kinds:
        text = value.strip()
        if "integer" in kinds and _INTEGER.match(text):
            return int(text)
        if "number" in kinds and _NUMBER.match(text):
            return float(text) if "." in text else int(text)
        if "boolean" in kinds and text.lower() in {"true", "false"}:
            return text.lower() == "true"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and kinds == {"string"}:
        return str(value)
    return value


def takes_texts(shape: Any) -> bool:
    """Whether a schema takes a list of texts and no text alone, such as the receivers of a mail."""
    if not isinstance(shape, dict):
        return False
    options = shape.get("anyOf") or shape.get("oneOf") or [shape]
    lists = [item for item in options if isinstance(item, dict) and item.get("type") == "array"]
    listed = any(kinds_of(item.get("items")) == {"string"} for item in lists)
    return listed and "string" not in kinds_of(shape)


def takes_text(shape: Any) -> bool:
    """Whether a schema takes a text, or a list of texts."""
    return "string" in kinds_of(shape) or takes_texts(shape)


def texts_of(value: JsonValue) -> list[str]:
    """Return a text, or the texts of a list, as a list."""
    listed = value if isinstance(value, list) else [value]
    return [item for item in listed if isinstance(item, str)]


def kinds_of(shape: Any) -> set[str]:
    """Return the JSON types that a simple schema allows; none where that cannot be told."""
    if not isinstance(shape, dict) or "enum" in shape or "$ref" in shape:
        return set()
    options = shape.get("anyOf") or shape.get("oneOf")
    if options:
        found = [kinds_of(option) for option in options]
        return set().union(*found) if all(found) else set()
    kind = shape.get("type")
    return set(kind) if isinstance(kind, list) else {kind} if isinstance(kind, str) else set()
