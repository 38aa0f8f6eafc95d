"""What a run may cost: tokens, money, steps, time and re-plans, and how much of that is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.types import JsonObject, JsonValue, is_number, parse_duration

#: More of anything is no bound any more.
MOST = 1_000_000_000_000
_WHOLE = ("tokens", "steps", "replans")


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Hard bounds of a run, its children and its retries together; None bounds nothing."""

    tokens: int | None = None
    """Of language models, prompts and answers together, planning included."""
    usd: float | None = None
    """US dollars. What a model of unknown price costs is not known and does not count."""
    seconds: float | None = None
    """From the run's start to its end, waiting included."""
    steps: int | None = None
    """How many tasks may start: one for a step, and one for each element of a map."""
    replans: int | None = None

    @classmethod
    def read(cls, value: Budget | Mapping[str, Any] | str | None) -> Budget | None:
        """Return the budget that somebody gave: as one, a mapping, or `tokens=2000,usd=0.5`.

        Time is a number of seconds or a text such as `10m`. None for what bounds nothing.

        Raises:
            InvalidValue: `budget_invalid`.
        """
        if value is None:
            return None
        given = _given(value)
        for name in given:
            if name not in NAMES:
                known = ", ".join(NAMES)
                raise _invalid(str(name), "nothing of this name is bounded", f"One of {known}.")
        read: dict[str, Any] = {
            name: _bound(name, item) for name, item in given.items() if item is not None
        }
        return cls(**read) if read else None

    def or_else(self, other: Budget | None) -> Budget:
        """Return this budget with the bounds of another one where it has none itself."""
        if other is None:
            return self
        own = {name: getattr(self, name) for name in NAMES}
        mixed: dict[str, Any] = {
            name: getattr(other, name) if value is None else value for name, value in own.items()
        }
        return Budget(**mixed)

    def as_json(self) -> JsonObject:
        """Return the bounds that there are."""
        said: dict[str, JsonValue] = {name: getattr(self, name) for name in NAMES}
        return {name: value for name, value in said.items() if value is not None}


#: What a budget may bound.
NAMES = tuple(field.name for field in fields(Budget))


@dataclass(frozen=True, kw_only=True, slots=True)
class Spending:
    """What was spent; tokens of unknown price count among all tokens."""

    tokens: int = 0
    unpriced_tokens: int = 0
    usd: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.tokens or self.usd)

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            tokens=self.tokens + other.tokens,
            unpriced_tokens=self.unpriced_tokens + other.unpriced_tokens,
            usd=self.usd + other.usd,
        )

    @classmethod
    def of(cls, tokens: Any, usd: Any) -> Spending:
        """Return what a handler says it has spent; `usd` None: the price is not known.

        Raises:
            InvalidValue: `spending_invalid`: it is no number, negative, or absurdly large.
        """
        whole = type(tokens) is int and 0 <= tokens <= MOST
        price = usd is None or (is_number(usd) and math.isfinite(usd) and 0 <= usd <= MOST)
        if not whole or not price:
            raise InvalidValue(
                f"{str(tokens)[:40]} tokens for {str(usd)[:40]} US dollars cannot be spent",
                code="spending_invalid",
                hint="tokens is a whole number, usd a number or None, neither is negative.",
            )
        unpriced = tokens if usd is None else 0
        return cls(tokens=tokens, unpriced_tokens=unpriced, usd=float(usd or 0.0))

    def as_json(self) -> JsonObject:
        """Return it as the database takes it."""
        return {
            "tokens": self.tokens,
            "unpriced_tokens": self.unpriced_tokens,
            "usd": round(self.usd, 12),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetUse:
    """A run's budget, and what the run, its children and its retries have used of it together."""

    budget: Budget
    tokens: int
    unpriced_tokens: int
    """Tokens of models whose price is not known; they are among `tokens`, not in `usd`."""
    usd: float | None
    """None when nothing is known: tokens were spent, and all of them at unknown prices."""
    seconds: float
    steps: int
    replans: int
    root_run_id: str
    """The run that the budget was given to."""

    @property
    def spending(self) -> Spending:
        """Return the tokens and the money."""
        return Spending(
            tokens=self.tokens, unpriced_tokens=self.unpriced_tokens, usd=self.usd or 0.0
        )

    @property
    def spent(self) -> JsonObject:
        """Return what is used, under the names of the bounds, and `unpriced_tokens`."""
        return {
            "tokens": self.tokens,
            "usd": self.usd,
            "seconds": round(self.seconds, 3),
            "steps": self.steps,
            "replans": self.replans,
            "unpriced_tokens": self.unpriced_tokens,
        }

    def as_json(self) -> JsonObject:
        """Return `{limits, spent, root_run_id}`."""
        return {
            "limits": self.budget.as_json(),
            "spent": self.spent,
            "root_run_id": self.root_run_id,
        }


def _given(value: Any) -> dict[Any, Any]:
    if isinstance(value, Budget):
        return {name: getattr(value, name) for name in NAMES}
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, str):
        raise InvalidValue(
            "a budget is an object such as {tokens: 2000}", pointer="/budget", code="budget_invalid"
        )
    parts = [part.strip() for part in value.split(",") if part.strip()]
    found: dict[Any, Any] = {}
    for part in parts:
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals or not text or name in found:
            raise _invalid(name[:40], f"{part[:80]!r} is no bound, or a second one", _EXAMPLE)
        found[name] = _number(text)
    if not found:
        raise InvalidValue(
            "the budget is empty", pointer="/budget", code="budget_invalid", hint=_EXAMPLE
        )
    return found


_EXAMPLE = "Write for example tokens=20000,usd=0.50,seconds=10m,steps=100,replans=2."


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _bound(name: str, value: Any) -> int | float:
    if name == "seconds" and isinstance(value, str):
        try:
            return parse_duration(value).total_seconds()
        except ValueError as error:
            raise _invalid(name, str(error), _EXAMPLE) from None
    if not is_number(value) or not math.isfinite(value) or not 0 <= value <= MOST:
        raise _invalid(name, f"{str(value)[:40]!r} is no bound", "A number from 0 on.")
    if name in _WHOLE:
        if value != int(value):
            raise _invalid(name, f"{value} is no whole number", "Whole things are counted here.")
        return int(value)
    return float(value)


def _invalid(name: str, message: str, hint: str) -> InvalidValue:
    return InvalidValue(
        f"budget: {name}: {message}",
        pointer=f"/budget/{name}",
        code="budget_invalid",
        hint=hint,
    )
