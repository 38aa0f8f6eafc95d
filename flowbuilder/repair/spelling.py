"""Other spellings of a JSON value that say the same, as a schema would have them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.schemapaths import type_names
from flowbuilder.strictjson import loads
from flowbuilder.types import JsonSchema

_INTEGER = re.compile(r"-?\d{1,15}")
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def respelt(value: Any, schema: JsonSchema, root: JsonSchema) -> Iterator[Any]:
    """Yield what a value may be written as to have a type that the schema takes."""
    kinds = type_names(schema, root)
    if kinds is None:
        return
    if isinstance(value, str):
        yield from _of_text(value.strip(), kinds)
    elif isinstance(value, bool):
        if "string" in kinds:
            yield "true" if value else "false"
    elif isinstance(value, int | float):
        yield from _of_number(value, kinds)
    elif isinstance(value, list) and len(value) == 1 and "array" not in kinds:
        yield value[0]
    if "array" in kinds and not isinstance(value, list) and value is not None:
        yield [value]


def _of_text(text: str, kinds: frozenset[str]) -> Iterator[Any]:
    if "integer" in kinds and _INTEGER.fullmatch(text):
        yield int(text)
    if "number" in kinds and _NUMBER.fullmatch(text):
        yield float(text) if "." in text else int(text)
    if "boolean" in kinds and text.lower() in _BOOLEANS:
        yield _BOOLEANS[text.lower()]
    if "null" in kinds and text.lower() in ("", "null", "none"):
        yield None
    if text[:1] in ("[", "{") and kinds & {"array", "object"}:
        try:
            yield loads(text)
        except InvalidValue:
            return


def _of_number(value: float, kinds: frozenset[str]) -> Iterator[Any]:
    if "string" in kinds:
        yield str(value)
    if "integer" in kinds and value == int(value):
        yield int(value)
    if "boolean" in kinds and value in (0, 1):
        yield bool(value)
