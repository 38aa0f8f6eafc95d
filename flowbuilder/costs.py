"""Numbers that are not known exactly, and what running something is expected to take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flowbuilder.errors import DefinitionError
from flowbuilder.types import JsonObject, JsonValue, is_number


@dataclass(frozen=True, slots=True)
class Interval:
    """A number that nine times out of ten lies between `low` and `high`; `likely` is its middle."""

    low: float
    likely: float
    high: float

    def rounded(self, digits: int = 0) -> Interval:
        """Return it with numbers of so many digits; whole numbers without any."""
        low, likely, high = (
            round(value, digits) if digits else round(value)
            for value in (self.low, self.likely, self.high)
        )
        return Interval(low, likely, high)

    def as_json(self) -> JsonObject:
        """Return `{low, likely, high}`."""
        return {"low": self.low, "likely": self.likely, "high": self.high}


@dataclass(frozen=True, kw_only=True, slots=True)
class CostHint:
    """What one call of a tool takes, as its author says."""

    seconds: Interval | None = None
    tokens: Interval | None = None
    usd: Interval | None = None

    @classmethod
    def read(cls, name: str, value: Any) -> CostHint | None:
        """Return the hint of `@tool(estimate={"seconds": (0.5, 1, 4), "usd": 0.01})`.

        A single number stands for half to twice as much.

        Raises:
            DefinitionError: `tool_invalid`.
        """
        if value is None or isinstance(value, CostHint):
            return value
        known = ("seconds", "tokens", "usd")
        if not isinstance(value, Mapping) or not value or not set(value) <= set(known):
            raise DefinitionError(
                f"{name}: an estimate is an object of seconds, tokens and usd",
                code="tool_invalid",
                hint='Write estimate={"seconds": (0.5, 1, 4)}: at least, likely, at most.',
            )
        return cls(**{part: _hinted(name, item) for part, item in value.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolHistory:
    """What calls of a tool came to lately: quantiles 0.1, 0.5 and 0.9."""

    calls: int = 0
    """How many calls that ended are known."""
    seconds: Interval | None = None
    """Of an attempt that completed, waiting included."""
    attempts: float = 1.0
    """On average, until a call ended."""
    failed: float = 0.0
    """Which part of the calls failed for good."""
    spent: int = 0
    """How many calls are known that have spent tokens or money."""
    tokens: Interval | None = None
    usd: Interval | None = None
    """None also when the price of any of them is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a token of a model costs, in US dollars."""

    prompt: float
    completion: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a run of a flow is expected to take, if it goes well."""

    tokens: Interval
    """Of language models, prompts and answers together."""
    cost_usd: Interval | None
    """None when a model's price is not known: not knowing is not nothing."""
    seconds: Interval
    steps: Interval
    """Tasks: one for a step, and one for each element of a map."""
    effects: Mapping[str, Interval] = field(default_factory=dict)
    """How many of these tasks have which effect."""
    model_calls: Interval = field(default_factory=lambda: Interval(0, 0, 0))
    approvals: int = 0
    """Steps at which a person is asked; the time for that is counted up to their deadline."""
    assumptions: tuple[str, ...] = ()
    """What had to be assumed, in whole sentences."""

    def lines(self) -> list[str]:
        """Return the figures as people read them, the likely one first."""
        parts = [
            _counted(_span(self.steps), "step"),
            _counted(str(self.approvals), "approval"),
        ]
        if self.model_calls.high:
            parts.append(f"{_span(self.model_calls)} model calls")
            parts.append(f"{_span(self.tokens)} tokens")
        if self.cost_usd is None:
            parts.append("cost unknown")
        elif self.cost_usd.high:
            cost = self.cost_usd
            parts.append(f"${cost.likely:.4f} (${cost.low:.4f} to ${cost.high:.4f})")
        low, likely, high = (
            _time(v) for v in (self.seconds.low, self.seconds.likely, self.seconds.high)
        )
        parts.append(f"about {likely} ({low} to {high})" if low != high else f"about {likely}")
        return parts

    def as_json(self) -> JsonObject:
        """Return the estimate as it is stored with a plan and answered over HTTP."""
        effects: dict[str, JsonValue] = {
            name: interval.as_json() for name, interval in self.effects.items()
        }
        return {
            "tokens": self.tokens.as_json(),
            "cost_usd": None if self.cost_usd is None else self.cost_usd.as_json(),
            "seconds": self.seconds.as_json(),
            "steps": self.steps.as_json(),
            "effects": effects,
            "model_calls": self.model_calls.as_json(),
            "approvals": self.approvals,
            "assumptions": list(self.assumptions),
        }

    @classmethod
    def from_json(cls, document: Any) -> Estimate | None:
        """Return the estimate that `as_json` wrote; None for anything else."""
        try:
            cost = document["cost_usd"]
            return cls(
                tokens=Interval(**document["tokens"]),
                cost_usd=None if cost is None else Interval(**cost),
                seconds=Interval(**document["seconds"]),
                steps=Interval(**document["steps"]),
                effects={name: Interval(**item) for name, item in document["effects"].items()},
                model_calls=Interval(**document["model_calls"]),
                approvals=document["approvals"],
                assumptions=tuple(document["assumptions"]),
            )
        except (TypeError, KeyError, AttributeError):  # of a plan that was stored otherwise
            return None


def _hinted(name: str, value: Any) -> Interval:
    given = (value / 2, value, value * 2) if is_number(value) else value
    fits = isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 3
    if not fits or not all(is_number(item) and math.isfinite(item) for item in given):
        raise DefinitionError(
            f"{name}: an estimate is a number, or three of them", code="tool_invalid"
        )
    low, likely, high = (float(item) for item in given)
    if not 0 <= low <= likely <= high:
        raise DefinitionError(
            f"{name}: an estimate is at least, likely and at most, in this order",
            code="tool_invalid",
        )
    return Interval(low, likely, high)


def _span(interval: Interval) -> str:
    low, likely, high = (round(v) for v in (interval.low, interval.likely, interval.high))
    return f"{likely}" if low == high else f"{likely} ({low} to {high})"


def _counted(number: str, what: str) -> str:
    return f"{number} {what}" if number == "1" else f"{number} {what}s"


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f}s"
    return str(timedelta(seconds=round(seconds))) if seconds >= 120 else f"{seconds:.0f}s"
