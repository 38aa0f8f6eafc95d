"""What time moves: delayed retries, sleeps, deadlines, lost workers, and what runs tell each other.

Every worker does it, in bounded rounds, and it does not matter who comes first.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.approval_notices import ApprovalNotices
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import Upkeep
from flowbuilder.executor.scheduler import Scheduler
from flowbuilder.executor.store import Store

log = logging.getLogger(__name__)

#: Rounds are never closer together than this, however much comes due.
_SHORTEST_SECONDS = 0.005
#: A round is a few bounded statements; one that takes so long has lost its connection.
_LONGEST_SECONDS = 60.0


class Maintenance:
    """Does a round of upkeep every poll interval, and sooner when something comes due."""

    def __init__(
        self,
        store: Store,
        notifications: Notifications,
        interval: timedelta,
        *,
        worker_id: str,
        after: Callable[[Upkeep], None],
        scheduler: Scheduler | None = None,
        notices: ApprovalNotices | None = None,
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        self._notifications = notifications
        self._interval = interval.total_seconds()
        self._after = after
        self._scheduler = scheduler
        self._notices = notices
        self._beside: dict[str, asyncio.Task[None]] = {}
        self._due = asyncio.Event()
        self._next_at = math.inf  # of the next round; what is set while one is under way needs one

    def hasten(self, seconds: float) -> None:
        """Take note that something is due so soon; a round that comes earlier will see to it."""
        if time.monotonic() + seconds < self._next_at:
            self._due.set()

    async def run(self) -> None:
        """Do round after round until cancelled."""
        try:
            await self._rounds()
        finally:
            for task in self._beside.values():
                task.cancel()
            await asyncio.gather(*self._beside.values(), return_exceptions=True)

    async def _rounds(self) -> None:
        while True:
            self._due.clear()
            self._next_at = math.inf
            wait = self._interval * random.uniform(0.8, 1.2)
            try:
                due = await self.round()
                if due is not None:
                    wait = min(wait, max(due, _SHORTEST_SECONDS))
            except FlowBuilderError as error:
                log.debug("upkeep failed, it comes round again: %s", error.message)
            except Exception:
                log.exception("upkeep failed, it comes round again")
            began = time.monotonic()
            self._next_at = began + wait
            try:
                async with asyncio.timeout(wait):
                    await self._due.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(max(_SHORTEST_SECONDS - (time.monotonic() - began), 0))

    def _do_beside(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do what is due beside the upkeep, once at a time: it must not delay anything else."""

        async def do() -> None:
            try:
                await work()
            except FlowBuilderError as error:
                log.debug("%s could not be seen to, they stay due: %s", name, error.message)
            except Exception:
                log.exception("%s could not be seen to, they stay due", name)

        if (before := self._beside.get(name)) is None or before.done():
            self._beside[name] = asyncio.create_task(do(), name=f"flowbuilder-{name}")

    async def _fire_schedules(self) -> None:
        if self._scheduler is not None:
            started = await self._scheduler.round()
            self._notifications.signal(started, ready=bool(started))

    async def _send_notices(self) -> None:
        while self._notices is not None and await self._notices.round():
            pass

    async def round(self) -> float | None:
        """Do one round and return the seconds until something is due, if anything is."""
        done = await self._store.database.within(
            _LONGEST_SECONDS, self._store.tick(self._worker_id)
        )
        self._notifications.signal(done.touched, ready=done.ready)
        if done.undelivered:
            self._notifications.deliver_soon()
        self._after(done)
        if done.schedules:
            self._do_beside("schedules", self._fire_schedules)
        if done.notices:
            self._do_beside("notices", self._send_notices)
        return done.next_due_seconds
