"""The arguments of one step while they are being found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowbuilder.planner.rules.slots import Slot


@dataclass
class Binding:
    """The arguments of one step, and how they came about."""

    args: dict[str, Any] = field(default_factory=dict)
    used: list[tuple[int, int]] = field(default_factory=list)
    missing: list[Slot] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    computed: dict[str, str] = field(default_factory=dict)
    repeats: dict[str, list[Any]] = field(default_factory=dict)
    """Several literals for a parameter that takes one: a step for each."""
    guessed: list[Slot] = field(default_factory=list)
    """Parameters that took what was left over."""
    refers: bool = False
    """An argument refers to an earlier step."""
