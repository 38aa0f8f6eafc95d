"""Which ticks of a schedule that is due start a run, and when it is due next."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise, takewhile

from flowbuilder.errors import InvalidValue
from flowbuilder.triggers.cron import Cron

#: What is looked at later than this was missed: nobody was there.
ON_TIME = timedelta(seconds=60)
#: Ticks that are looked at to find those that were on time.
_LOOKED_AT = 8
#: Ticks whose distances are compared with the jitter.
_COMPARED = 100


class Missed(StrEnum):
    """What becomes of ticks that nobody was there for."""

    SKIP = "skip"
    """Nothing; the next one is next."""
    ONCE = "once"
    """The last of them starts one run, for all of them."""
    ALL = "all"
    """Each starts a run, the newest ones up to a bound."""


class Overlap(StrEnum):
    """What a tick does while the run of the one before goes on."""

    ALLOW = "allow"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """What a schedule that is due comes to."""

    ticks: tuple[datetime, ...]
    """Those that start a run, oldest first."""
    missed: datetime | None
    """The newest tick that is passed over."""
    next_tick: datetime | None
    """None: no tick is left."""
    next_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What a schedule says of its ticks."""

    key: str
    """The schedule's id: from it comes how late each tick is."""
    cron: Cron
    missed: Missed
    most: int
    """Runs that `all` starts at once, at most."""
    jitter: timedelta

    def begin(self, tick: datetime) -> datetime:
        """Return when a tick is to be carried out: later by up to the jitter, the same each time.

        Many schedules of one moment so do not all start at it.
        """
        drawn = hashlib.sha256(f"{self.key} {tick.timestamp():.0f}".encode()).digest()
        return tick + self.jitter * (int.from_bytes(drawn[:4]) / 2**32)

    def first_after(self, moment: datetime) -> tuple[datetime | None, datetime | None]:
        """Return the first tick later than a moment, and when it is to be carried out."""
        tick = self.cron.after(moment)
        return tick, None if tick is None else self.begin(tick)

    def check_jitter(self, moment: datetime) -> None:
        """Refuse a jitter by which ticks would overtake each other.

        Raises:
            InvalidValue: `jitter_invalid`.
        """
        ticks = islice(self.cron.ticks(moment), _COMPARED)
        closest = min((later - tick for tick, later in pairwise(ticks)), default=None)
        if closest is not None and self.jitter >= closest and self.jitter:
            raise InvalidValue(
                "the jitter has to be shorter than the time between two ticks",
                pointer="/jitter",
                code="jitter_invalid",
            )

    def due(self, tick: datetime, at: datetime, now: datetime) -> Due:
        """Return what is to be done about a tick that is due, and about later ones.

        Args:
            tick: The oldest tick that has not been looked at.
            at: When it was to be carried out, not later than `now`.
            now: The present time.
        """
        most = self.most if self.missed is Missed.ALL else 1
        later = self.cron.latest(tick, now, max(most, _LOOKED_AT) + 1)
        begun = [(found, self.begin(found)) for found in later]
        open_ticks = list(takewhile(lambda item: item[1] <= now, begun))
        whole = len(later) <= max(most, _LOOKED_AT)  # else those further back were not gone through
        if whole:
            open_ticks.insert(0, (tick, at))
        chosen = self._chosen(open_ticks, now)
        passed = [found for found, _ in open_ticks if found not in chosen]
        last = open_ticks[-1][0] if open_ticks else tick
        next_tick, next_at = self.first_after(last)
        return Due(
            ticks=tuple(chosen),
            missed=max(passed, default=None),
            next_tick=next_tick,
            next_at=next_at,
        )

    def _chosen(self, open_ticks: list[tuple[datetime, datetime]], now: datetime) -> list[datetime]:
        on_time = [tick for tick, at in open_ticks if now - at < ON_TIME]
        if self.missed is Missed.SKIP or len(on_time) == len(open_ticks):
            return on_time
        if self.missed is Missed.ONCE:
            return [open_ticks[-1][0]]
        return [tick for tick, _ in open_ticks][-self.most :]
