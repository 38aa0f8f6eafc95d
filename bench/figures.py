"""Measurements as numbers, and what is computed of them: medians, spans, ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One workload on one contender, once."""

    workload: str
    contender: str
    repeat: int
    """From 0. Measurements of the same repeat and workload were taken one right after another."""
    units: int = 0
    """What the costs are counted over: steps; for E1 events, for I1 seconds."""
    values: Mapping[str, float] = field(default_factory=dict)
    """By name, see the report's description; what could not be measured is missing."""
    checked: Mapping[str, int] = field(default_factory=dict)
    """How many flows, events or rows were compared with what they must be."""
    error: str | None = None
    """Why there are no values, or why they count for nothing."""

    def as_json(self) -> JsonObject:
        """Return the measurement as JSON."""
        return {
            "workload": self.workload,
            "contender": self.contender,
            "repeat": self.repeat,
            "units": self.units,
            "values": {name: _rounded(value) for name, value in self.values.items()},
            "checked": dict(self.checked),
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number over the repeats."""

    median: float
    low: float
    high: float
    count: int

    def as_json(self) -> JsonObject:
        """Return the figure as JSON."""
        return {
            "median": _rounded(self.median),
            "low": _rounded(self.low),
            "high": _rounded(self.high),
            "count": self.count,
        }


def figure_of(numbers: Iterable[float]) -> Figure | None:
    """Return median and span; None: there are no numbers."""
    found = list(numbers)
    if not found:
        return None
    return Figure(
        median=statistics.median(found), low=min(found), high=max(found), count=len(found)
    )


def quantile(numbers: Sequence[float], q: float) -> float:
    """Return the smallest of the numbers that at least the part `q` of them does not exceed.

    Raises:
        ValueError: There are no numbers, or `q` lies outside 0 to 1.
    """
    if not numbers or not 0 <= q <= 1:
        raise ValueError("a quantile needs numbers, and a part between 0 and 1")
    return sorted(numbers)[max(0, math.ceil(q * len(numbers)) - 1)]


class Figures:
    """What the measurements of a run come to, by workload, contender and name of the value."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._found: dict[tuple[str, str, str], dict[int, float]] = {}
        for one in measurements:
            if one.error is not None:
                continue
            for name, value in one.values.items():
                key = (one.workload, one.contender, name)
                self._found.setdefault(key, {})[one.repeat] = value

    def names(self, workload: str, contender: str) -> list[str]:
        """Return the names of what was measured, in the order of measuring."""
        return [name for (load, who, name) in self._found if (load, who) == (workload, contender)]

    def value(self, workload: str, contender: str, name: str) -> Figure | None:
        """Return a value over the repeats; None where nothing was measured."""
        return figure_of(self._found.get((workload, contender, name), {}).values())

    def ratio(self, workload: str, name: str, contender: str, base: str) -> Figure | None:
        """Return a contender's value over the base's value of the same repeat, over the repeats."""
        ours = self._found.get((workload, contender, name), {})
        theirs = self._found.get((workload, base, name), {})
        return figure_of(
            value / theirs[repeat] for repeat, value in ours.items() if theirs.get(repeat)
        )


def _rounded(value: float) -> float:
    """Return five significant digits: more than any of this is good for."""
    return float(f"{value:.5g}")
