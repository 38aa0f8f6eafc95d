"""Clocks of a simulated world: virtual time that is exact, or real time made faster."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Protocol


class Clock(Protocol):
    """What simulated tools and models wait by."""

    def now(self) -> float:
        """Return the seconds since the world began."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many of this clock's seconds."""
        ...


class VirtualClock:
    """Time that stands still until everybody who works has gone to sleep.

    Who drives it (`flowbuilder.evals.world.driving`) calls `advance` when nothing else moves: the
    time jumps to the next one who wakes. So a schedule of days takes milliseconds, and its times
    are exact: what the engine itself costs does not count.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        """Return the seconds since the world began."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait for virtual seconds; none, or fewer, is no wait."""
        if seconds <= 0:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._numbers), woken))
        await woken

    @property
    def asleep(self) -> int:
        """How many wait for a time."""
        return sum(1 for _, _, woken in self._sleepers if not woken.done())

    def advance(self) -> bool:
        """Jump to the next time that somebody wakes at, and wake who does; False: nobody will."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # cancelled meanwhile
        if not self._sleepers:
            return False
        self._now = self._sleepers[0][0]
        while self._sleepers and self._sleepers[0][0] <= self._now:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)
        return True


class RealClock:
    """Real time, `speed` times as fast: one second of the world takes `1 / speed` seconds."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._began: float | None = None

    def now(self) -> float:
        """Return the world's seconds since the clock was first used."""
        time = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = time
        return (time - self._began) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait for so many of the world's seconds."""
        self.now()
        await asyncio.sleep(max(0.0, seconds) / self._speed)
