"""Columns set against each other: which ones are known, and how such a condition is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowbuilder.planner.rules.comparing import Comparison
from flowbuilder.planner.rules.outputs import StepDraft, output_fields
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.types import JsonSchema

#: Comparisons of columns as CEL writes them.
SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "==", "ne": "!="}
_WORDS_OF_CEL = frozenset(
    {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in"}
    | {"let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while"}
)
_CEL = re.compile(r"\bCEL\b.*\bitem\b", re.DOTALL)


def columns_of_input(schema: JsonSchema | None, value: Any) -> frozenset[str]:
    """Return the columns of the tables in a run's input."""
    found: set[str] = set()
    for part in dict((schema or {}).get("properties") or {}).values():
        found |= _columns_of(part)
    for rows in value.values() if isinstance(value, dict) else ():
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            found |= set(rows[0])
    return frozenset(found)


def known_columns(before: Sequence[StepDraft]) -> frozenset[str]:
    """Return the columns that the rows of the latest steps have, as far as these say them."""
    found: set[str] = set()
    for step in reversed(before):
        for slot in step.profile.slots:
            told = step.args.get(slot.name)
            if slot.kind is SlotKind.COLUMN or _lists_columns(slot):
                found |= {one for one in (told if isinstance(told, list) else [told]) if one}
        found |= set(step.computed.values())
        for item in output_fields(step.profile):
            found |= _columns_of(item.schema)
        if step.computed or found:  # what was there before may have gone
            break
    return frozenset(found)


def _lists_columns(slot: Slot) -> bool:
    return slot.many and bool({"field", "column", "by"} & slot.stems) and "drop" not in slot.stems


def _columns_of(schema: Any) -> set[str]:
    items = schema.get("items") if isinstance(schema, dict) else None
    properties = items.get("properties") if isinstance(items, dict) else None
    return set(properties) if isinstance(properties, dict) else set()


def takes_cel(slot: Slot) -> bool:
    """Whether a parameter takes a CEL expression about a row, `item`."""
    return _CEL.search(str(slot.schema.get("description") or "")) is not None


def as_cel(
    comparisons: Iterable[Comparison], known: Mapping[str, str], *, any_of: bool
) -> str | None:
    """Return comparisons as a CEL expression about `item`; None if one has no such form."""
    parts: list[str] = []
    for item in comparisons:
        left = _member(known.get(item.field.lower(), item.field))
        if item.other is not None:
            right = _member(known.get(item.other.lower(), item.other))
        else:
            right = json.dumps(item.value, ensure_ascii=False)
        if item.operator in SIGNS:
            parts.append(f"{left} {SIGNS[item.operator]} {right}")
        elif item.operator in ("in", "not_in"):
            parts.append(f"{'!' if item.operator == 'not_in' else ''}({left} in {right})")
        else:
            return None
    return (" || " if any_of else " && ").join(parts)


def _member(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name not in _WORDS_OF_CEL
    return f"item.{name}" if plain else f"item[{json.dumps(name)}]"
