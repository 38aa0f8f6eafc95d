"""Cron expressions of five fields in a time zone: which moments they name.

What happens where clocks are changed is what Debian's cron does. Where minute and hour both begin
with something else than `*`, a moment that is skipped counts as the first one after the gap, and
one that comes twice counts the first time. Other expressions go by elapsed time: `*/20 * * * *`
names three moments in each of the two equal hours, and none in the missing one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from flowbuilder.errors import InvalidValue

LONGEST = 200
_FIELDS = 5
_EXPRESSION = re.compile(r"[A-Za-z0-9*,/#-]+(?: [A-Za-z0-9*,/#-]+)*")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(?:/[A-Za-z0-9_+-]{1,40}){0,2}")
#: They are what the machine is set to, which differs between machines.
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
_HINT = "Five fields: minute, hour, day of the month, month, day of the week, as in `30 6 * * 1-5`."
#: How far back `latest` looks at first, and so many times further each time it finds too few.
_FIRST_LOOK = timedelta(hours=1)
_FURTHER = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Cron:
    """A cron expression in a time zone. Make it with `parse`."""

    expression: str
    zone: str

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than a moment, in UTC; None when there is none any more."""
        return next(self.ticks(moment), None)

    def ticks(self, moment: datetime) -> Iterator[datetime]:
        """Yield the ticks later than a moment, in UTC, each later than the one before."""
        last = moment.astimezone(UTC)
        try:
            for found in CronSim(self.expression, last.astimezone(zone_of(self.zone))):
                tick = found.astimezone(UTC)
                # several local times may be one moment, and a repeated hour is behind already
                if tick > last:
                    yield tick
                    last = tick
        except (OverflowError, ValueError):  # the calendar ends
            return

    def latest(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """Return the last ticks later than `after` and not later than `until`, at most `most`.

        What lies further back is not gone through, however long that is.
        """
        look = _FIRST_LOOK
        while True:
            begin = max(after, until - look)
            found = []
            for tick in self.ticks(begin):
                if tick > until:
                    break
                found.append(tick)
            if len(found) >= most or begin <= after:
                return found[-most:]
            look *= _FURTHER


def parse(expression: object, zone: object = "UTC") -> Cron:
    """Return a cron expression that names some moment at least.

    Raises:
        InvalidValue: `cron_invalid` at /cron, `timezone_unknown` at /timezone.
    """
    name = _checked_zone(zone)
    if not isinstance(expression, str) or len(expression) > LONGEST:
        raise _invalid(f"a cron expression is a text of at most {LONGEST} characters")
    fields = expression.split(" ") if expression.isascii() else []
    text = " ".join(fields := [field for field in fields if field])
    if expression.strip().startswith("@"):
        raise _invalid(f"{expression[:40]!r} is no cron expression: names such as @daily mean none")
    if len(fields) != _FIELDS:
        raise _invalid(f"a cron expression has five fields, this one has {len(fields)}")
    if not _EXPRESSION.fullmatch(text):
        raise _invalid("a cron expression has digits, names, and `*,-/#` only")
    try:
        CronSim(text, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise _invalid(f"this is no cron expression: {error}") from None
    cron = Cron(expression=text, zone=name)
    if cron.after(datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise _invalid("this cron expression names no moment: there is no such day")
    return cron


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone that is known."""
    return ZoneInfo(name)


def _checked_zone(zone: object) -> str:
    usable = isinstance(zone, str) and _ZONE.fullmatch(zone) and zone not in _NO_ZONES
    try:
        if usable:
            zone_of(str(zone))
            return str(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise InvalidValue(
        f"there is no time zone {str(zone)[:80]!r}",
        pointer="/timezone",
        code="timezone_unknown",
        hint="A name of the IANA list, such as Europe/Berlin or UTC.",
    )


def _invalid(message: str) -> InvalidValue:
    return InvalidValue(message, pointer="/cron", code="cron_invalid", hint=_HINT)
