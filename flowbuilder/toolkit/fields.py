"""Fields of records: looking them up, comparing and grouping by their values.

A field that a record does not have counts as null. A field that no record has at all is taken for
a misspelling and refused. Values are told apart as JSON tells them apart: `1` equals `1.0`, but
neither `true` nor `"1"`.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from typing import Annotated, Any

from pydantic import Field

from flowbuilder.toolkit.markdown import columns_of
from flowbuilder.tools import Fail
from flowbuilder.types import JsonValue, is_number

Record = dict[str, Any]
Records = Annotated[
    list[Record], Field(description="The records: a list of objects, such as csv.parse returns.")
]
FieldNames = Annotated[
    str | list[str],
    Field(description="A field name or a list of them; `address.city` reaches inside an object."),
]


class _Missing:
    """Stands for a field that a record does not have."""


MISSING = _Missing()


def field_of(record: Record, name: str) -> Any:
    """Return a field's value, or MISSING. A dotted name reaches into nested objects."""
    if name in record:
        return record[name]
    found: Any = record
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return MISSING
        found = found[part]
    return found


def value_of(record: Record, name: str) -> Any:
    """Return a field's value, null where the record does not have it."""
    found = field_of(record, name)
    return None if found is MISSING else found


def as_names(names: str | Sequence[str]) -> list[str]:
    """Return one name or several as a list."""
    return [names] if isinstance(names, str) else list(names)


def require_fields(records: Sequence[Record], names: Sequence[str], what: str = "records") -> None:
    """Refuse a name that no record has.

    Raises:
        Fail: `field_unknown`, with the names that there are.
    """
    if not records:
        return
    for name in names:
        if all(field_of(record, name) is MISSING for record in records):
            known = columns_of(records)
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[:20])}"
            raise Fail(f"none of the {what} has a field {name!r}; {hint}", code="field_unknown")


def identity(value: JsonValue) -> Hashable:
    """Return a key that is equal for equal JSON values and for no others."""
    if isinstance(value, bool) or value is None:
        return (type(value).__name__, value)
    if isinstance(value, int | float):
        return ("number", value)
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, list):
        return ("list", tuple(identity(item) for item in value))
    return ("object", frozenset((name, identity(item)) for name, item in value.items()))


def kind_of(value: object) -> str:
    """Return what people call the type of a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def numbers(records: Sequence[Record], name: str, purpose: str) -> list[Any]:
    """Return a field's numbers, nulls left out.

    Raises:
        Fail: `field_type`: a record holds something else; the message names it.
    """
    found = []
    for index, record in enumerate(records):
        value = value_of(record, name)
        if value is None:
            continue
        if not is_number(value):
            raise Fail(
                f"record {index}: field {name!r} is {kind_of(value)}, {purpose} needs numbers",
                code="field_type",
            )
        found.append(value)
    return found


def comparable(records: Sequence[Record], name: str, purpose: str) -> list[Any]:
    """Return a field's values, nulls left out, all numbers, all texts or all true/false.

    Raises:
        Fail: `field_type`: the values cannot be put in one order.
    """
    found: list[Any] = []
    kind = ""
    for index, record in enumerate(records):
        value = value_of(record, name)
        if value is None:
            continue
        kind = kind or kind_of(value)
        if kind_of(value) != kind or isinstance(value, list | dict):
            raise Fail(
                f"record {index}: field {name!r} is {kind_of(value)}, {purpose} needs values of "
                f"one kind that have an order; the first is {kind}",
                code="field_type",
            )
        found.append(value)
    return found
