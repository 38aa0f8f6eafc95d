"""What many ask for at the same time is asked of the database once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Shared:
    """Look-ups that are shared by all who ask for the same thing before they begin.

    One that is under way answers nobody who comes later: what it has seen may be over by then. So
    every answer is at least as new as its question, and there are two look-ups of one thing at
    most: one under way, and one that everybody else waits for.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, asyncio.Task[Any]] = {}
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def ask(self, key: Hashable, look: Callable[[], Awaitable[T]]) -> T:
        """Return what a look-up gives that begins after this call."""
        task = self._waiting.get(key)
        if task is None:
            task = asyncio.create_task(self._look(key, look))
            task.add_done_callback(_heard)
            self._waiting[key] = task
        # who goes away does not take the answer from the others
        return cast("T", await asyncio.shield(task))

    async def _look(self, key: Hashable, look: Callable[[], Awaitable[T]]) -> T:
        before = self._under_way.get(key)
        if before is not None:
            await asyncio.wait([before])
        mine = self._waiting.pop(key)
        self._under_way[key] = mine
        try:
            return await look()
        finally:
            if self._under_way.get(key) is mine:
                del self._under_way[key]


def _heard(task: asyncio.Task[Any]) -> None:
    """Take note of an error that nobody is there to hear any more."""
    if not task.cancelled():
        task.exception()
