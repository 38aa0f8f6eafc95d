"""A bound on what others make this process do, kept in the process.

For deliveries it spares the database, where is counted what a webhook really takes.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable


class Flood:
    """Buckets of requests by key: each holds `burst` and loses `rate` a second."""

    def __init__(
        self,
        *,
        burst: float,
        rate: float,
        keys: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._rate = rate
        self._keys = keys
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Count a request; returns the seconds until there is room, 0 when it was counted."""
        now = self._clock()
        level, at = self._buckets.pop(key, (0.0, now))
        level = max(0.0, level - (now - at) * self._rate)
        wait = max(0.0, (level + 1 - self._burst) / self._rate)
        self._buckets[key] = (level if wait else level + 1, now)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return wait
