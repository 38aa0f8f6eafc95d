"""The bars that the engine has to clear, at full size. `flowbuilder bench --check` holds to them.

Ratios are over the batched floor of the same repeat; the median of the repeats counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from flowbuilder.bench.contender import FLOOR, FLOWBUILDER
from flowbuilder.bench.figures import Figures
from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bound on one number. Exactly one of `at_least` and `at_most` is set."""

    workload: str
    name: str
    """Of the value, see the report's description."""
    over_floor: bool
    """Whether it is the ratio over the floor that is bound, or the value itself."""
    at_least: float | None = None
    at_most: float | None = None

    def cleared_by(self, number: float) -> bool:
        """Whether a number keeps to the bound."""
        if self.at_least is not None:
            return number >= self.at_least
        return self.at_most is not None and number <= self.at_most

    def find(self, figures: Figures) -> float | None:
        """Return the number that is bound, None when it was not measured."""
        if self.over_floor:
            found = figures.ratio(self.workload, self.name, FLOWBUILDER, FLOOR)
        else:
            found = figures.value(self.workload, FLOWBUILDER, self.name)
        return None if found is None else found.median

    def __str__(self) -> str:
        what = f"{self.workload} {self.name}{' over the floor' if self.over_floor else ''}"
        if self.at_least is not None:
            return f"{what} >= {self.at_least:g}"
        return f"{what} <= {self.at_most:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missed:
    """A bar that was not cleared; `found` None: there is no number to hold against it."""

    bar: Bar
    found: float | None

    def __str__(self) -> str:
        found = "was not measured" if self.found is None else f"is {self.found:.3g}"
        return f"{self.bar}: it {found}"


def _ratio(workload: str, name: str, **bound: float) -> Bar:
    return Bar(workload=workload, name=name, over_floor=True, **bound)


def _value(workload: str, name: str, **bound: float) -> Bar:
    return Bar(workload=workload, name=name, over_floor=False, **bound)


_UNDER_LOAD = ("W1", "W2", "W3", "W4")

BARS: tuple[Bar, ...] = (
    *(_ratio(load, "steps_per_second", at_least=0.5) for load in _UNDER_LOAD),
    *(_value(load, "round_trips", at_most=0.1) for load in _UNDER_LOAD),
    *(_value(load, "wal_bytes", at_most=3000) for load in _UNDER_LOAD),
    _value("M1", "seconds", at_most=4),
    _ratio("L1", "start_p50", at_most=1.2),
    _ratio("L1", "result_p50", at_most=1.2),
    _ratio("L2", "step_p50", at_most=1.0),
    _ratio("E1", "change_p50", at_most=6),
    _ratio("E1", "change_p99", at_most=8),
    _value("I1", "cpu_ms", at_most=10),
)


def check_bars(
    figures: Figures, workloads: Collection[str], bars: Iterable[Bar] = BARS
) -> list[Missed]:
    """Return the bars of these workloads that were missed, in their order."""
    return [
        Missed(bar=bar, found=found)
        for bar in bars
        if bar.workload in workloads
        and ((found := bar.find(figures)) is None or not bar.cleared_by(found))
    ]


def bars_json(
    figures: Figures, workloads: Collection[str], bars: Iterable[Bar] = BARS
) -> list[JsonObject]:
    """Return the bars of these workloads, and what was found, as JSON."""
    found = [(bar, bar.find(figures)) for bar in bars if bar.workload in workloads]
    return [
        {
            "workload": bar.workload,
            "name": bar.name,
            "over_floor": bar.over_floor,
            "at_least": bar.at_least,
            "at_most": bar.at_most,
            "found": None if number is None else float(f"{number:.5g}"),
            "cleared": number is not None and bar.cleared_by(number),
        }
        for bar, number in found
    ]
