"""Listening to a queue: every listener sees every message that is sent while it listens."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from psycopg import sql

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.database import Database
from flowbuilder.executor.listener import Listener, pause
from flowbuilder.types import JsonObject

log = logging.getLogger(__name__)

_PAGE = 200
#: Numbers are given before commits: one that is lower than what was seen may still turn up for
#: as long as a transaction may last.
_SETTLED_SECONDS = 60.0

# Acknowledged messages are archived; a listener still gets them from there. A message is due when
# its delay is over; one that a consumer has read once is hidden from consumers only.
_SOURCE = """
    from (
        select msg_id, enqueued_at, message, read_ct, vt from pgmq.{queue}
        union all
        select msg_id, enqueued_at, message, 1, vt from pgmq.{archive}
    ) m
"""
_POSITION = (
    """
    select coalesce(max(msg_id) filter (where enqueued_at < now() - interval '1 minute'), 0) as low,
           coalesce(array_agg(msg_id) filter (where enqueued_at >= now() - interval '1 minute'),
                    '{{}}') as recent
"""
    + _SOURCE
)
_READ = (
    """
    select msg_id, enqueued_at, case when due then message end as message, due,
           extract(epoch from vt - clock_timestamp())::float8 as due_in,
           extract(epoch from clock_timestamp() - case when read_ct > 0 then enqueued_at
               else greatest(vt, enqueued_at) end)::float8 as age
    from (select m.*, (m.read_ct > 0 or m.vt <= clock_timestamp()) as due
"""
    + _SOURCE
    + """
          where (m.msg_id > %s or m.msg_id = any (%s)) and m.msg_id <> all (%s)
    ) d
    where due or msg_id <> all (%s)
    order by msg_id limit %s
"""
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message of a queue."""

    id: int
    """Its number in the queue."""
    queue: str
    payload: JsonObject
    enqueued_at: datetime
    reads: int = 0
    """How often it was taken out by a consumer; more than once: it was not acknowledged."""

    @classmethod
    def taken(cls, queue: str, row: Mapping[str, Any]) -> Message:
        """Return the message of a row that a consumer took out."""
        return cls(
            id=row["msg_id"],
            queue=queue,
            payload=row["message"],
            enqueued_at=row["enqueued_at"],
            reads=row["read_ct"],
        )


class QueueReader:
    """What reads a queue until it is closed, woken by the listener."""

    def __init__(self, listener: Listener, queue: str, *, poll_seconds: float) -> None:
        self.queue = queue
        self._listener = listener
        self._poll_seconds = poll_seconds
        self._wake = asyncio.Event()
        self._failures = 0
        self._closed = False
        self._stop_hearing: Callable[[], None] | None = None

    @property
    def closed(self) -> bool:
        """Whether the iteration was ended."""
        return self._closed

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        if self._stop_hearing is not None:
            self._stop_hearing()
            self._stop_hearing = None
        self._wake.set()

    def __aiter__(self) -> Self:
        return self


class Messages(QueueReader):
    """An iterator over the messages of a queue; `async with` makes sure that it listens already.

    It ends when it is closed, by `Notifications.unlisten` for instance. A lost connection does
    not end it: it catches up by message numbers, nothing is lost or doubled.
    """

    def __init__(
        self,
        database: Database,
        listener: Listener,
        queue: str,
        *,
        after: int | None,
        poll_seconds: float,
        prepare: Callable[[], Any],
    ) -> None:
        super().__init__(listener, queue, poll_seconds=poll_seconds)
        self._database = database
        self._prepare = prepare
        self._low = after
        self._tip = after or 0
        self._seen: dict[int, float] = {}
        self._hidden: dict[int, float] = {}
        self._named: set[int] = set()
        self._buffer: deque[Message] = deque()
        self._missed = True
        self._read_all_at = 0.0
        self._lag_ms: float | None = None
        self._opened = False
        tables = {"queue": sql.Identifier(f"q_{queue}"), "archive": sql.Identifier(f"a_{queue}")}
        self._read_statement = sql.SQL(_READ).format(**tables).as_bytes()
        self._position_statement = sql.SQL(_POSITION).format(**tables).as_bytes()

    async def open(self) -> None:
        """Begin to listen: what is sent from now on will be seen.

        Raises:
            DatabaseUnavailable: The queue cannot be reached.
        """
        if self._opened or self._closed:
            return
        self._opened = True
        try:
            await self._prepare()
            if self._low is None:
                await self._skip_present()
        except BaseException:
            self._opened = False
            raise
        self._stop_hearing = self._listener.hear(self.queue, self._heard)

    def progress(self) -> JsonObject:
        """Return how far the listener is.

        `{queue, last_id, buffered, lag_ms, interrupted}`: the number seen last, how many wait to
        be taken, how long the last one took from the time it was due to its arrival here, by the
        database's clock, and whether the last look failed.
        """
        return {
            "queue": self.queue,
            "last_id": self._tip,
            "buffered": len(self._buffer),
            "lag_ms": self._lag_ms,
            "interrupted": self._failures > 0,
        }

    async def aclose(self) -> None:
        """End the iteration."""
        self.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __anext__(self) -> Message:
        await self.open()
        while not self._buffer:
            if self._closed:
                raise StopAsyncIteration
            await self._refill()
        return self._buffer.popleft()

    async def _skip_present(self) -> None:
        row = await self._database.fetch_one(self._position_statement)
        assert row is not None
        self._low = row["low"]
        now = time.monotonic()
        self._seen = dict.fromkeys(row["recent"], now)
        self._tip = max(row["recent"], default=row["low"])

    def _heard(self, payload: str | None) -> None:
        number = _message_number(payload)
        if number is None:
            self._missed = True
        else:
            self._named.add(number)
        self._wake.set()

    async def _refill(self) -> None:
        """Wait until there may be something new, and read it."""
        now = time.monotonic()
        wait = self._read_all_at + self._poll_seconds - now
        wait = min([wait, *(due - now for due in self._hidden.values())])
        if not self._missed and wait > 0:
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass
        self._wake.clear()
        if self._closed:
            return
        try:
            await self._read()
        except FlowBuilderError as error:
            if not self._failures:
                log.warning(
                    "listening to %s is interrupted: %s", self.queue, error, extra=self.progress()
                )
            self._failures += 1
            self._missed = True
            await asyncio.sleep(pause(self._failures))
        else:
            if self._failures:
                log.warning("listening to %s goes on", self.queue, extra=self.progress())
            self._failures = 0

    async def _read(self) -> None:
        """Read what is new: everything on a poll, else what follows or was named."""
        now = time.monotonic()
        everything = self._missed or now >= self._read_all_at + self._poll_seconds
        self._missed = False
        named = frozenset(self._named)
        start = (self._low or 0) if everything else self._tip
        known = self._seen if everything else named.intersection(self._seen)
        skip = [number for number in known if number not in self._hidden]
        hidden = list(self._hidden)
        values = (start, [*hidden, *named], skip, hidden, _PAGE)
        rows = await self._database.fetch_all(self._read_statement, values)
        for row in rows:
            self._take(row, now)
        if len(rows) == _PAGE:
            self._missed = True
            return
        self._named -= named
        if everything:
            self._read_all_at = now
            self._settle(now)

    def _take(self, row: dict[str, Any], now: float) -> None:
        number = row["msg_id"]
        self._tip = max(self._tip, number)
        if not row["due"]:
            self._hidden[number] = now + max(row["due_in"], 0.0)
            self._seen.setdefault(number, now)
            return
        if number in self._seen and number not in self._hidden:
            return
        self._hidden.pop(number, None)
        self._seen.setdefault(number, now)
        self._lag_ms = round(max(row["age"], 0.0) * 1000, 3)
        self._buffer.append(
            Message(
                id=number,
                queue=self.queue,
                payload=row["message"],
                enqueued_at=row["enqueued_at"],
            )
        )

    def _settle(self, now: float) -> None:
        """Forget numbers below which nothing can turn up any more."""
        old = [number for number, at in self._seen.items() if now - at > _SETTLED_SECONDS]
        if old:
            self._low = max(self._low or 0, *old)
            self._seen = {n: at for n, at in self._seen.items() if n > self._low}


def _message_number(payload: str | None) -> int | None:
    """Return the message's number from a notification; None for anything else."""
    try:
        number = json.loads(payload or "null")["msg_id"]
    except (ValueError, TypeError, KeyError):
        return None
    return number if isinstance(number, int) else None
