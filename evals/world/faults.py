"""Faults of simulated tools: which call fails, how, and how often."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

import orjson

from flowbuilder.schemas import validator
from flowbuilder.types import JsonObject, JsonSchema, JsonValue


class FaultKind(StrEnum):
    """What goes wrong with a call."""

    FAIL = "fail"
    """It fails before it has done anything; another attempt may succeed."""
    FAIL_AFTER = "fail_after"
    """It fails after it has acted, as when the answer is lost."""
    GIVE_UP = "give_up"
    """It fails and says that no further attempt will succeed."""
    TIME_OUT = "time_out"
    """It never ends by itself."""
    WRONG_SHAPE = "wrong_shape"
    """It answers with something that does not fit its output schema."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A rule of what goes wrong."""

    tool: str
    """Name of a tool, or a pattern such as `mail.*`."""
    kind: FaultKind
    times: int | None = 1
    """How many calls of one task go wrong, retries counted; None for every one."""
    where: Mapping[str, JsonValue] = field(default_factory=dict)
    """Arguments that a call must have for the rule to mean it."""

    def means(self, tool: str, args: JsonObject) -> bool:
        """Whether the rule is about such a call."""
        return fnmatchcase(tool, self.tool) and all(
            name in args and args[name] == value for name, value in self.where.items()
        )


class FaultInjector:
    """Says of each call what goes wrong with it; the same calls, the same faults.

    `rates` adds faults by chance: kind → share of calls, decided by seed, tool, arguments and how
    often the task has called, and by nothing else.
    """

    def __init__(
        self,
        faults: Sequence[Fault] = (),
        *,
        rates: Mapping[FaultKind, float] | None = None,
        seed: int = 0,
    ) -> None:
        self._faults = tuple(faults)
        self._rates = dict(rates or {})
        self._seed = seed
        self._calls: Counter[tuple[int, str]] = Counter()

    def next(self, tool: str, args: JsonObject, task: str) -> FaultKind | None:
        """Return what goes wrong with the next call of a task, None when nothing does.

        `task` is the same text for all attempts, such as the idempotency key.
        """
        for number, fault in enumerate(self._faults):
            if fault.means(tool, args):
                self._calls[number, task] += 1
                if fault.times is None or self._calls[number, task] <= fault.times:
                    return fault.kind
        self._calls[-1, task] += 1
        return self._by_chance(tool, args, self._calls[-1, task]) if self._rates else None

    def _by_chance(self, tool: str, args: JsonObject, call: int) -> FaultKind | None:
        drawn = fraction(self._seed, tool, args, call)
        for kind, rate in self._rates.items():
            if drawn < rate:
                return kind
            drawn -= rate
        return None


def fraction(*parts: object) -> float:
    """Return a number from 0 up to 1 that depends on the given JSON values alone."""
    digest = hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def misfit(schema: JsonSchema) -> JsonValue:
    """Return a value that does not fit a schema; null where everything fits."""
    fits = validator(schema)
    candidates: tuple[JsonValue, ...] = (None, [], "nothing of the kind", 7, {}, True)
    return next((value for value in candidates if not fits.is_valid(value)), None)
