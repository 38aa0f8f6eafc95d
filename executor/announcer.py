"""Sends NOTIFY for workers and watchers: after the commit, in a statement of its own, coalesced.

A NOTIFY inside a work transaction would take a lock of the whole cluster until the commit.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence

from flowbuilder.errors import DatabaseError, DatabaseUnavailable, FlowBuilderError
from flowbuilder.executor.database import Database

log = logging.getLogger(__name__)

#: Wakes workers. The payload names its sender, which has heard it already, and a blank.
WORK_CHANNEL = "flowbuilder_work"
#: The sender, a blank, and ids of runs and plans with new events, comma separated; with a `+`
#: behind the id of one that surely goes on.
EVENTS_CHANNEL = "flowbuilder_events"

#: PostgreSQL refuses payloads of 8000 bytes; the sender takes some of them.
LARGEST_PAYLOAD = 7900
_COALESCE_SECONDS = 0.001
_PATIENCE_SECONDS = 0.004
#: While there is work and more, others need not be told of it after every exchange.
_WORK_SECONDS = 0.02
#: Also says whether other systems want to be told more.
_NOTIFY = b"""
    select count(pg_notify(n.channel, n.payload)) as sent,
        exists (select from flowbuilder.subscribers) as subscribed
    from unnest(%s::text[], %s::text[]) as n (channel, payload)"""
#: PostgreSQL moves the tail of its queue of notifications on when one is written, or here: once it
#: was full, it would stay so, even when everybody has read everything.
_MOVE_ON = b"select pg_notification_queue_usage() as usage"


async def notify(database: Database, channels: Sequence[str], payloads: Sequence[str]) -> bool:
    """Send a NOTIFY on each of these channels; return whether other systems subscribe to events.

    Raises:
        DatabaseError: It is not sent, because the queue of notifications is full for instance.
    """
    values = (list(channels), list(payloads))
    try:
        row = await database.fetch_one(_NOTIFY, values)
    except DatabaseUnavailable:
        raise
    except DatabaseError:
        await database.execute(_MOVE_ON)
        row = await database.fetch_one(_NOTIFY, values)
    return bool(row and row["subscribed"])


class Announcer:
    """Collects what is to be announced and sends it at most once per millisecond.

    News of streams that surely go on are for those who watch, and wait four milliseconds for more
    of their kind; ends, what somebody waits for, and work go at once, but that there is a backlog
    of it not again within twenty milliseconds.
    """

    def __init__(self, database: Database, *, sender: str, subscribed: Callable[[], None]) -> None:
        """`subscribed` is called when other systems want events, too."""
        self._database = database
        self._subscribed = subscribed
        self._sender = sender
        self._ids: dict[str, bool] = {}  # whether it surely goes on
        self._ready = False
        self._work_at = -math.inf  # when work was announced last
        self._urgent = False
        self._batch: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def signal(
        self,
        ids: Iterable[str],
        *,
        going_on: Collection[str] = (),
        ready: bool = False,
        backlog: bool = False,
    ) -> None:
        """Announce soon, without waiting: new events of these streams; work when `ready`.

        `backlog`: the work is not new, or somebody here is about to take it.
        """
        for one in ids:
            self._ids[one] = one in going_on and self._ids.get(one, True)
            self._urgent = self._urgent or not self._ids[one]
        self._ready = self._ready or ready
        if ready and not backlog:
            self._work_at = -math.inf
        self._urgent = self._urgent or (ready and self._work_in() <= 0)
        if (self._ids or self._ready) and self._task is None:
            self._begin()

    async def announce(self, ids: Iterable[str], *, ready: bool = False) -> None:
        """Announce and return when it is sent. Never fails: everybody polls besides."""
        self._urgent = True
        self.signal(ids, ready=ready)
        if self._task is None:
            return
        if self._batch is None:
            self._batch = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._batch)

    async def close(self) -> None:
        """Send what is left."""
        self._urgent, self._work_at = True, -math.inf
        if (self._ids or self._ready) and self._task is None:
            self._begin()
        while self._task is not None:
            await asyncio.shield(self._task)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        patience = 0 if self._urgent else _PATIENCE_SECONDS if self._ids else self._work_in()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + patience:
                return
            self._timer.cancel()
            self._timer = None
        if patience <= 0:
            self._start()
        else:
            self._timer = loop.call_later(patience, self._start)

    def _work_in(self) -> float:
        """Return the seconds until work may be announced again."""
        return self._work_at + _WORK_SECONDS - time.monotonic()

    def _start(self) -> None:
        self._timer = None
        if self._task is None:
            self._task = asyncio.create_task(self._send_all(), name="flowbuilder-announcer")

    async def _send_all(self) -> None:
        try:
            while self._ids or self._ready:
                ids = [f"{one}+" if going_on else one for one, going_on in self._ids.items()]
                ready = self._ready and (self._batch is not None or self._work_in() <= 0)
                batch, self._batch = self._batch, None
                self._ids, self._ready, self._urgent = {}, self._ready and not ready, False
                if ready:
                    self._work_at = time.monotonic()
                try:
                    if ids or ready:
                        await self._send(ids, ready)
                finally:
                    if batch is not None and not batch.done():
                        batch.set_result(None)
                await asyncio.sleep(_COALESCE_SECONDS)
                if not self._urgent:
                    break
        finally:
            self._task = None
            if self._batch is not None and not self._batch.done():
                self._batch.set_result(None)
                self._batch = None
        if self._ids or self._ready:
            self._begin()

    async def _send(self, ids: Sequence[str], ready: bool) -> None:
        payloads = [f"{self._sender} {chunk}" for chunk in chunks(ids)]
        channels = [EVENTS_CHANNEL] * len(payloads)
        if ready:
            channels.append(WORK_CHANNEL)
            payloads.append(f"{self._sender} ")
        began = time.perf_counter()
        try:
            subscribed = await notify(self._database, channels, payloads)
        except FlowBuilderError as error:
            log.debug("could not notify, others find it by polling: %s", error)
            return
        if subscribed:
            self._subscribed()
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "announced",
                extra={
                    "channel": ",".join(dict.fromkeys(channels)),
                    "streams": len(ids),
                    "bytes": sum(len(payload) for payload in payloads),
                    "ms": round((time.perf_counter() - began) * 1000, 3),
                },
            )


def chunks(ids: Iterable[str]) -> list[str]:
    """Join ids with commas into payloads that PostgreSQL takes, leaving out what fits in none."""
    payloads: list[str] = []
    for one in ids:
        if len(one) > LARGEST_PAYLOAD:
            continue
        if payloads and len(payloads[-1]) + 1 + len(one) <= LARGEST_PAYLOAD:
            payloads[-1] += f",{one}"
        else:
            payloads.append(one)
    return payloads
