"""How much may run at once or be used, how often something may start, and who goes first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from flowbuilder.errors import InvalidValue
from flowbuilder.types import JsonObject, JsonValue, format_duration, parse_duration

#: More at once, or more starts in the time of a rate, is no limit any more.
MOST_AT_ONCE = 10_000
MOST_STARTS = 1_000_000
LONGEST_RATE = timedelta(days=31)
RATE_PATTERN = r"^ *[0-9]+ */ *([0-9]+(\.[0-9]+)? *)?(ms|s|m|h|d) *$"
_RATE = re.compile(r" *([0-9]{1,7}) */ *([0-9]+(?:\.[0-9]+)? *)?(ms|s|m|h|d) *")


#: The quotas, in the order in which they are shown.
QUOTAS = ("stored_bytes", "events_kept", "runs_per_day", "plans_per_hour")
#: More is no quota any more, and the first counts are of 32 bits.
MOST_OF_QUOTA = {
    "stored_bytes": 2**60,
    "events_kept": 2**60,
    "runs_per_day": 2**31 - 1,
    "plans_per_hour": 2**31 - 1,
}
_WHOLE = re.compile(r"[1-9][0-9]{0,18}")


class Priority(StrEnum):
    """Which runs go first. A class is worth an hour of waiting, so that none waits for ever."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """The number that the database orders by: 1, 0 or -1."""
        return 1 - list(Priority).index(self)

    @classmethod
    def of_rank(cls, rank: int) -> Priority:
        """Return the class of a number."""
        return list(cls)[1 - rank]

    @classmethod
    def read(cls, value: Priority | str | int) -> Priority:
        """Return the class of a name, or of 1, 0 or -1. Raises: InvalidValue."""
        if isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= 1:
            return cls.of_rank(value)
        try:
            return cls(value)  # type: ignore[arg-type]
        except ValueError:
            raise InvalidValue(
                f"there is no priority {str(value)[:80]!r}",
                pointer="/priority",
                code="priority_unknown",
                hint="One of high, normal, low.",
            ) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """So many starts in any span of so much time: `Rate(count=10, per="1s")`, written `10/s`."""

    count: int
    per: timedelta | str | float = 1.0

    def __post_init__(self) -> None:
        """Make `per` a timedelta. Raises: ValueError."""
        if isinstance(self.count, bool) or not isinstance(self.count, int):
            raise ValueError("a rate counts whole starts")
        if not 1 <= self.count <= MOST_STARTS:
            raise ValueError(f"a rate allows 1 to {MOST_STARTS:,} starts")
        span = parse_duration(self.per)
        if not timedelta(milliseconds=1) <= span <= LONGEST_RATE:
            raise ValueError("the time of a rate lies between 1ms and 31d")
        object.__setattr__(self, "per", span)

    @classmethod
    def read(cls, value: object) -> Rate:
        """Return the rate that a text such as `10/s` or `5/1m` says. Raises: ValueError."""
        if isinstance(value, Rate):
            return value
        found = _RATE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"{str(value)[:64]!r} is no rate; write for example '10/s' or '5/1m'")
        count, number, unit = found.groups()
        return cls(count=int(count), per=f"{(number or '1').strip()}{unit}")

    @property
    def seconds(self) -> float:
        """The time of the rate in seconds."""
        return parse_duration(self.per).total_seconds()

    def __str__(self) -> str:
        return f"{self.count}/{format_duration(parse_duration(self.per))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Quotas:
    """What a workspace may use; None: as much as it likes."""

    stored_bytes: int | None = None
    """Of inputs, results, arguments, events and documents, as they lie in the tables."""
    events_kept: int | None = None
    runs_per_day: int | None = None
    """Started by anybody or anything but a run, between midnight and midnight by UTC."""
    plans_per_hour: int | None = None
    """Asked for, from one full hour to the next."""

    @classmethod
    def read(cls, text: str | None) -> Quotas:
        """Return what a text such as `runs_per_day=1000,plans_per_hour=50` says; None: no quota.

        Raises:
            ValueError: It names something else, twice, or no whole number from 1 on.
        """
        said: dict[str, int] = {}
        for part in (text or "").split(",") if text else ():
            name, _, number = (piece.strip() for piece in part.partition("="))
            if name not in QUOTAS or name in said:
                raise ValueError(
                    f"{part.strip()[:60]!r} is no quota, or comes twice; there are "
                    + ", ".join(QUOTAS)
                )
            if not _WHOLE.fullmatch(number) or int(number) > MOST_OF_QUOTA[name]:
                raise ValueError(f"{name} is a whole number from 1 to {MOST_OF_QUOTA[name]}")
            said[name] = int(number)
        return cls(**said)

    def as_json(self) -> JsonObject:
        """Return the quotas that there are."""
        said: dict[str, JsonValue] = {name: getattr(self, name) for name in QUOTAS}
        return {name: value for name, value in said.items() if value is not None}


def read_rate(value: Rate | str | None, pointer: str) -> Rate | None:
    """Return a rate or None. Raises: InvalidValue (rate_invalid) at the pointer."""
    try:
        return None if value is None else Rate.read(value)
    except ValueError as error:
        raise InvalidValue(str(error), pointer=pointer, code="rate_invalid") from None


def read_concurrency(value: int | None, pointer: str) -> int | None:
    """Return how many may run at once, or None. Raises: InvalidValue (concurrency_invalid)."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and 1 <= value <= MOST_AT_ONCE):
        raise InvalidValue(
            f"a concurrency is a number from 1 to {MOST_AT_ONCE:,}",
            pointer=pointer,
            code="concurrency_invalid",
        )
    return value
