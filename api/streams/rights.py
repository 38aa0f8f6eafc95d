"""Whether whoever opened a stream may still see it: looked at again and again while it is open.

Streams that were opened with the same token are looked at together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable

from fastapi import Request

from flowbuilder.api.auth import callers

#: How long a stream on which nothing happens goes on after whoever reads it may not any more.
IDLE_SECONDS = 5.0
#: Looks younger than this are as good as a new one.
_FRESH_SECONDS = 0.5
_MOST_LOOKS = 1000


class Rights:
    """Looks that are under way, or have just been made."""

    def __init__(self) -> None:
        self._looks: dict[Hashable, tuple[float, asyncio.Task[None]]] = {}

    @staticmethod
    def due(looked: float) -> bool:
        """Say whether it is time for another look."""
        return time.monotonic() - looked > callers.RECHECK_SECONDS

    async def look(self, request: Request) -> None:
        """Look whether a request would be let through now.

        Raises:
            Unauthorized, Forbidden, NotFound: It would not.
        """
        if request.app.state.tokens is None:
            return
        key = (
            *request.headers.getlist("authorization"),
            request.state.workspace,
            request.scope["endpoint"],
        )
        begun, task = self._looks.get(key, (0.0, None))
        now = time.monotonic()
        if task is None or now - begun >= min(_FRESH_SECONDS, callers.RECHECK_SECONDS):
            if len(self._looks) >= _MOST_LOOKS:
                self._forget(now)
            task = asyncio.create_task(callers.look_again(request))
            task.add_done_callback(_heard)
            self._looks[key] = (now, task)
        await asyncio.shield(task)

    def _forget(self, now: float) -> None:
        for key, (begun, task) in list(self._looks.items()):
            if task.done() and now - begun > _FRESH_SECONDS:
                del self._looks[key]


def _heard(task: asyncio.Task[None]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
