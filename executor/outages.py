"""What the engine asks the database on behalf of a task: an outage is not the task's fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.listener import pause

T = TypeVar("T")


async def through_outages(call: Callable[[], Awaitable[T]], *, seconds: float) -> T:
    """Make a call, again and again while the database is away, for so many seconds.

    Raises:
        DatabaseUnavailable: It is away for longer than that.
        Exception: What else the call raises.
    """
    end = time.monotonic() + seconds
    failures = 0
    while True:
        try:
            return await call()
        except DatabaseUnavailable:
            failures += 1
            wait = pause(failures)
            if time.monotonic() + wait > end:
                raise
            await asyncio.sleep(wait)
