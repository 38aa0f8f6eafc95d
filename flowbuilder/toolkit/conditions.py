"""Conditions of `data.filter`: `{field: value}` or `{field: {operator: value}}`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuilder.toolkit.fields import (
    MISSING,
    Record,
    field_of,
    identity,
    kind_of,
    require_fields,
)
from flowbuilder.tools import Fail

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
}
_LISTS = frozenset({"in", "not_in"})
OPERATORS = ("eq", "ne", *_ORDER, *sorted(_LISTS), "contains", *_TEXT, "exists")
_SIGNS = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One comparison of a field with a value."""

    field: str
    operator: str
    value: Any
    ignore_case: bool

    def holds(self, record: Record, index: int) -> bool:
        """Tell whether a record satisfies the condition.

        Raises:
            Fail: `field_type`: the two values cannot be compared.
        """
        found = field_of(record, self.field)
        if self.operator == "exists":
            return (found is not MISSING) is bool(self.value)
        left = None if found is MISSING else found
        if self.operator in ("eq", "ne"):
            same = self._key(left) == self._key(self.value)
            return same is (self.operator == "eq")
        if self.operator in _LISTS:
            among = any(self._key(left) == self._key(item) for item in self.value)
            return among is (self.operator == "in")
        if left is None:
            return False
        if self.operator == "contains":
            return self._contains(left, index)
        return self._ordered(left, index)

    def _contains(self, left: Any, index: int) -> bool:
        if isinstance(left, list):
            return any(self._key(item) == self._key(self.value) for item in left)
        if isinstance(left, str) and isinstance(self.value, str):
            return bool(self._fold(self.value) in self._fold(left))
        raise self._mismatch(left, index)

    def _ordered(self, left: Any, index: int) -> bool:
        kind = kind_of(left)
        texts = self.operator in _TEXT
        if kind != kind_of(self.value) or kind not in (
            ("text",) if texts else ("text", "a number")
        ):
            raise self._mismatch(left, index)
        compare = _TEXT.get(self.operator) or _ORDER[self.operator]
        return compare(self._fold(left), self._fold(self.value))

    def _key(self, value: Any) -> object:
        return identity(self._fold(value))

    def _fold(self, value: Any) -> Any:
        return value.casefold() if self.ignore_case and isinstance(value, str) else value

    def _mismatch(self, left: Any, index: int) -> Fail:
        return Fail(
            f"record {index}: field {self.field!r} is {kind_of(left)} and cannot be compared by "
            f"{self.operator!r} with {kind_of(self.value)}",
            code="field_type",
        )


def conditions(where: dict[str, Any], *, ignore_case: bool) -> list[Condition]:
    """Read `{field: value}` and `{field: {operator: value}}`.

    Raises:
        Fail: `condition_invalid`: an operator is unknown or lacks a value of its kind.
    """
    found = []
    for field, wanted in where.items():
        named = wanted if _names_operators(wanted) else {"eq": wanted}
        for name, value in named.items():
            known = _SIGNS.get(name, name)
            if known not in OPERATORS:
                raise Fail(
                    f"field {field!r}: unknown operator {name!r}; there are {', '.join(OPERATORS)}",
                    code="condition_invalid",
                )
            if known in _LISTS and not isinstance(value, list):
                raise Fail(f"field {field!r}: {name!r} needs a list", code="condition_invalid")
            if known == "exists" and not isinstance(value, bool):
                raise Fail(f"field {field!r}: 'exists' is true or false", code="condition_invalid")
            found.append(
                Condition(field=field, operator=known, value=value, ignore_case=ignore_case)
            )
    return found


def _names_operators(wanted: Any) -> bool:
    """An object whose every key is an operator; any other object is a value to compare with."""
    return (
        isinstance(wanted, dict)
        and bool(wanted)
        and not any(_SIGNS.get(name, name) not in OPERATORS for name in wanted)
    )


def require_condition_fields(records: Sequence[Record], wanted: Sequence[Condition]) -> None:
    """Refuse a misspelt field, unless the condition is about its absence. Raises: Fail."""
    tolerant = ("exists", "ne", "not_in")
    names = [
        condition.field
        for condition in wanted
        if condition.operator not in tolerant
        and condition.value is not None
        and not (condition.operator == "in" and None in condition.value)
    ]
    require_fields(records, names)
