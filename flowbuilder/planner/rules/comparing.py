"""A comparison as a clause words it."""

from __future__ import annotations

from dataclasses import dataclass

from flowbuilder.types import JsonValue


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`field operator value`; operators as in `gt`, `eq`, `contains`, value null for empty."""

    field: str
    operator: str
    value: JsonValue
    start: int
    end: int
    used: tuple[int, ...] = ()
    """Start places of the literals it took in."""
    other: str | None = None
    """The column that it is compared with, in the place of a value."""
    doubt: str | None = None
    """What may be meant otherwise."""
    unturned: bool = False
    """Rows that are like this are to go, and no operator says so."""
    said: str | None = None
    """The word that its value stands for, where that is another."""
