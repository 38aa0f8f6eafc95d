"""Puts committed events into the queues of other systems, then tells who listens to them.

Which event goes where was written with the event; this moves it on in transactions of its own,
so that nothing about a queue can hold up or fail a run. The notification follows the commit and
names the queue and numbers only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from contextlib import suppress

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.announcer import notify
from flowbuilder.executor.store.subscriptions import Delivered, Sent, SubscriptionStore

log = logging.getLogger(__name__)

#: Before another look, when somebody else was delivering or the database failed.
_PAUSE_SECONDS = 0.25
#: A call is a few bounded statements; one that takes so long has lost its connection.
_LONGEST_SECONDS = 60.0


class Courier:
    """Delivers in a task of its own whenever it is woken, one call after the other."""

    def __init__(self, store: SubscriptionStore, *, interval: float) -> None:
        self._store = store
        self._interval = interval
        self._asked = False
        self._looked_at = -math.inf
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def wake(self) -> None:
        """Deliver soon: something was committed that somebody may have subscribed to."""
        if self._closed:
            return
        self._asked = True
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="flowbuilder-courier")

    def look(self) -> None:
        """Deliver what is left behind by somebody who died, at most once per interval."""
        if time.monotonic() >= self._looked_at + self._interval:
            self.wake()

    async def close(self) -> None:
        """Deliver what was asked for until now; who polls finds what is left."""
        self._closed = True
        while self._task is not None:
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        try:
            while self._asked:
                self._asked = False
                self._looked_at = time.monotonic()
                try:
                    again = await self.deliver()
                except FlowBuilderError as error:
                    log.debug("could not deliver events, it comes round again: %s", error)
                    break
                self._asked = self._asked or again
        finally:
            self._task = None

    async def deliver(self) -> bool:
        """Deliver all there is. True: somebody else was at it, look again.

        Raises:
            DatabaseUnavailable: The rest stays where it is.
        """
        while True:
            began = time.perf_counter()
            done = await self._store.database.within(_LONGEST_SECONDS, self._store.deliver())
            delivered = time.perf_counter()
            _report(done)
            sent = [one for one in done.sent if one.messages]
            if sent:
                notified = await self._notify(sent)
                _record(sent, began, delivered, notified=notified)
            if done.busy:
                await asyncio.sleep(_PAUSE_SECONDS)
                return True
            if not done.more:
                return False

    async def _notify(self, sent: list[Sent]) -> bool:
        payloads = [
            json.dumps({"queue": one.queue, "msg_id": one.last, "first": one.first}) for one in sent
        ]
        with suppress(FlowBuilderError):  # everybody polls besides
            await notify(self._store.database, [one.queue for one in sent], payloads)
            return True
        return False


def _report(done: Delivered) -> None:
    """Warn of a queue that takes nothing, when that begins."""
    for wrong in done.wrong:
        level = logging.WARNING if wrong["failures"] == 1 else logging.DEBUG
        log.log(
            level, "the queue %s takes no events: %s", wrong["queue"], wrong["error"], extra=wrong
        )


def _record(sent: list[Sent], began: float, delivered: float, *, notified: bool) -> None:
    now = time.perf_counter()
    for one in sent:
        log.info(
            "events delivered",
            extra={
                "channel": one.queue,
                "queue": one.queue,
                "messages": one.messages,
                "msg_id": one.last,
                "bytes": one.bytes,
                "store_ms": round((delivered - began) * 1000, 3),
                "notify_ms": round((now - delivered) * 1000, 3),
                "ms": round((now - began) * 1000, 3),
                "notified": notified,
            },
        )
