"""The events of a whole workspace as one stream, with numbers of its own.

The order is that of commits, and stays: whoever has read up to a number misses nothing behind it.
The log begins when it is asked for first, with the newest runs, and is kept while somebody reads
it at least once a week.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from flowbuilder.client.feed import Signal
from flowbuilder.client.following import PAGE, at_once, pruned, rest
from flowbuilder.client.session import Session
from flowbuilder.errors import DatabaseError
from flowbuilder.executor.store.workspace_log import (
    LogState,
    Numbered,
    PlacedEvent,
    WorkspaceLogStore,
)

#: So long it is tried to begin a log while others write events.
_PATIENCE_SECONDS = 10.0
_BUSY = ("lock_timeout", "transaction_conflict")
#: Within this time somebody has surely said that the log is still read.
_OPEN_SECONDS = 600.0


class WorkspaceLog:
    """The log of one workspace."""

    def __init__(self, view: Session, owner: Session) -> None:
        """`view` reads, maybe through the wall of its workspace; `owner` numbers what came."""
        self._view = WorkspaceLogStore(view.store.database, workspace=view.store.workspace)
        self._owner = WorkspaceLogStore(owner.store.database, workspace=view.store.workspace)
        self._session = view
        self._notifications = owner.notifications
        self._opened_at = -_OPEN_SECONDS

    async def state(self) -> LogState:
        """Return what the log holds, which begins now when nobody has read it for a week.

        Raises:
            DatabaseError: It cannot begin, because a long transaction is writing events
                (`lock_timeout`).
        """
        found = await self._open()
        if (numbered := await self._number()) is not None:
            return LogState(first=found.first, last=numbered.last)
        return found

    async def read(self, after: int, limit: int) -> list[PlacedEvent]:
        """Return the events behind number `after`, without gaps.

        Raises:
            Conflict: Retention has deleted some of them (events_pruned).
        """
        found = await self._view.read(after=after, limit=limit)
        for place, row in enumerate(found, after + 1):
            if row.place != place:
                raise pruned(row.place)
        return found

    async def follow_pages(
        self, *, after: int, pause: Callable[[], float] = at_once
    ) -> AsyncGenerator[list[PlacedEvent]]:
        """Yield the events behind number `after` as they come, for ever; see `follow_pages`.

        Raises:
            Conflict: Retention has deleted what comes next (events_pruned).
        """
        poll = self._session.settings.poll_interval.total_seconds()
        with self._watch() as signal:
            while True:
                signal.clear()
                began = time.monotonic()
                await self._keep_open()
                numbered = await self._session.patiently(self._number)
                page = await self._session.patiently(partial(self.read, after, PAGE))
                if page:
                    after = page[-1].place
                    yield page
                elif numbered is not None and numbered.last > after:
                    first = (await self._owner.open()).first
                    raise pruned(first if first > after else numbered.last + 1)
                if len(page) < PAGE and not (numbered and numbered.more):
                    await signal.wait(poll)
                    await rest(began, pause())

    @contextmanager
    def _watch(self) -> Iterator[Signal]:
        """Give a signal that is set whenever there may be new events anywhere."""
        signal = Signal()
        stop = self._notifications.on_events(lambda _: signal.set())
        try:
            yield signal
        finally:
            stop()

    async def _keep_open(self) -> None:
        if time.monotonic() - self._opened_at > _OPEN_SECONDS:
            await self._session.patiently(self._open)

    async def _number(self) -> Numbered | None:
        return await self._owner.number(limit=PAGE)

    async def _open(self) -> LogState:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                found = await self._owner.open()
            except DatabaseError as error:
                if error.code not in _BUSY or time.monotonic() > give_up:
                    raise
                await asyncio.sleep(random.uniform(0.05, 0.2))
            else:
                self._opened_at = time.monotonic()
                return found
