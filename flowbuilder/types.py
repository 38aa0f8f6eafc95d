"""Shared names for JSON values and time.

`JsonValue` is what crosses every border of the system: arguments, inputs, outputs, event data.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeAlias, TypeGuard

JsonValue: TypeAlias = "None | bool | int | float | str | list[JsonValue] | dict[str, JsonValue]"
JsonObject: TypeAlias = "dict[str, JsonValue]"
#: A JSON Schema document. Typed loosely because schemas nest without bound in third-party shapes.
JsonSchema: TypeAlias = dict[str, Any]

#: The workspace that everything belongs to until there are users (UUID text).
DEFAULT_WORKSPACE = "00000000-0000-0000-0000-000000000001"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
#: Longer than any policy needs, short enough for every interval arithmetic.
LONGEST = timedelta(days=3660)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse_duration(value: str | int | float | timedelta) -> timedelta:
    """Turn `"90s"`, `"1h30m"`, `250ms` or a number of seconds into a timedelta.

    Raises:
        ValueError: It is no duration at all, is negative, or is longer than ten years.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif is_number(value):
        seconds = _bounded(value)
    elif isinstance(value, str):
        seconds = _seconds(value)
    else:
        raise ValueError("a duration is a text such as '30s' or a number of seconds")
    return timedelta(seconds=_bounded(seconds))


@lru_cache(maxsize=1024)
def _seconds(text: str) -> float:
    bare = text.strip().replace(" ", "") if len(text) <= 64 else ""
    if not _DURATION.fullmatch(bare):
        raise ValueError(f"{text[:64]!r} is no duration; write for example '30s' or '1h30m'")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(bare))


def _bounded(seconds: float) -> float:
    if not 0 <= seconds <= LONGEST.total_seconds():  # true for NaN and for any integer as well
        raise ValueError("a duration lies between 0 and ten years")
    return float(seconds)


def format_duration(value: timedelta) -> str:
    """Write a timedelta in the largest unit that keeps it exact: `90s`, `5m`, `250ms`."""
    microseconds = value // timedelta(microseconds=1)
    milliseconds, rest = divmod(microseconds, 1000)
    if rest:
        return f"{microseconds / 1000:.3f}ms"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"
