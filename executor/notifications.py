"""LISTEN and NOTIFY over queues: messages that are stored first and announced right after.

A message of any size is a row of a pgmq queue. The notification names the queue and the number
only, and is sent after the commit, in a statement of its own. Whoever misses it finds the message
by polling.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Self

import orjson
from psycopg.types.json import Jsonb

from flowbuilder.errors import DatabaseError, FlowBuilderError, InvalidValue
from flowbuilder.executor.announcer import Announcer, notify
from flowbuilder.executor.database import Database
from flowbuilder.executor.listener import Listener
from flowbuilder.executor.messages import Message, Messages
from flowbuilder.executor.queue_names import (
    checked_count,
    checked_number,
    checked_queue,
    checked_seconds,
    checked_visibility,
)
from flowbuilder.executor.records import DEFAULT_WORKSPACE
from flowbuilder.executor.store.subscriptions import SubscriptionStore
from flowbuilder.executor.subscriptions import Subscriptions
from flowbuilder.executor.wakeups import Wakeups
from flowbuilder.strictjson import Limits, check
from flowbuilder.types import JsonObject

__all__ = ["Message", "Messages", "Notifications"]

log = logging.getLogger(__name__)

_LARGEST_MESSAGE = 64 * 1024 * 1024
_LAST_WORDS_SECONDS = 2.0

_CREATE = b"""
    select pgmq.create(%s::text)
    where not exists (select from pgmq.meta where queue_name = %s)"""
_SEND = b"""
    select pgmq.send(
        %s::text, %s::jsonb, clock_timestamp() + make_interval(secs => %s::float8)) as id
"""
_RECEIVE = b"""
    select msg_id, enqueued_at, read_ct, message
    from pgmq.read(%s::text, %s::integer, %s::integer)"""
_ARCHIVE = b"select pgmq.archive(%s::text, %s::bigint) as done"
_HEALTH = b"select pg_notification_queue_usage()::float8 as usage"


class Notifications(Subscriptions, Wakeups):
    """Queues that notify, subscriptions to events, and the wake-ups of workers and watchers."""

    def __init__(
        self,
        database: Database,
        *,
        poll_interval: timedelta = timedelta(seconds=1),
        workspace: str = DEFAULT_WORKSPACE,
    ) -> None:
        self._database = database
        listener = Listener(database)
        Subscriptions.__init__(
            self,
            SubscriptionStore(database, workspace=workspace),
            listener,
            poll_seconds=poll_interval.total_seconds(),
        )
        sender = uuid.uuid4().hex[:12]
        announcer = Announcer(database, sender=sender, subscribed=self._courier.wake)
        Wakeups.__init__(self, listener, announcer, sender=sender)
        self._known: set[str] = set()
        self._listening: dict[str, list[Messages]] = {}

    async def close(self) -> None:
        """End every listener and send what is still to be announced."""
        for queue in list(self._listening):
            await self.unlisten(queue)
        for consumer in self._consumers:
            await consumer.aclose()
        # Everybody polls besides: a database that does not answer holds nobody up.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._announcer.close()
                await self._courier.close()
        await self._listener.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- queues -----------------------------------------------------------------------------

    async def send_with_notify(
        self, queue: str, payload: JsonObject, *, delay: str | float | timedelta | None = None
    ) -> int:
        """Store a message in a queue, commit, then notify the queue's channel.

        Args:
            queue: Made when it is missing. Also the name of the channel, for other systems'
                LISTEN.
            payload: A JSON object of any usual size; it stays in the queue.
            delay: `"30s"` or seconds until the message can be seen.

        Returns:
            The message's number in the queue.

        Raises:
            InvalidValue: `queue_invalid`, or the payload is no clean JSON object.
            DatabaseUnavailable: Nothing was stored, as far as can be known.
        """
        checked_queue(queue)
        body = _checked_payload(payload)
        seconds = 0.0 if delay is None else checked_seconds(delay, "/delay")
        began = time.perf_counter()
        number = await self._store(queue, body, seconds)
        stored = time.perf_counter()
        notified = await self._notify(queue, number)
        now = time.perf_counter()
        log.info(
            "message sent",
            extra={
                "channel": queue,
                "queue": queue,
                "msg_id": number,
                "bytes": len(orjson.dumps(body.obj)),
                "delay_seconds": seconds,
                "store_ms": round((stored - began) * 1000, 3),
                "notify_ms": round((now - stored) * 1000, 3),
                "ms": round((now - began) * 1000, 3),
                "notified": notified,
            },
        )
        return number

    def listen(self, queue: str, *, after: int | None = None) -> Messages:
        """Return an iterator over the messages of a queue.

        Every listener sees every message that is sent while it listens, in the order of numbers
        as far as they become visible in that order. It listens from the first `anext` on, or from
        `async with notifications.listen(queue) as messages`.

        Args:
            queue: Made when it is missing.
            after: Begin behind the message of this number instead of with what comes now.

        Raises:
            InvalidValue: `queue_invalid`, or `after` is no number of a message.
        """
        checked_queue(queue)
        if after is not None:
            checked_number(after, "/after")
        messages = Messages(
            self._database,
            self._listener,
            queue,
            after=after,
            poll_seconds=self._poll_seconds,
            prepare=lambda: self._ensure(queue),
        )
        alive = [one for one in self._listening.get(queue, []) if not one.closed]
        self._listening[queue] = [*alive, messages]
        return messages

    async def unlisten(self, queue: str) -> None:
        """End every listener and consumer of a queue that came from this object.

        Raises:
            InvalidValue: `queue_invalid`.
        """
        checked_queue(queue)
        for messages in self._listening.pop(queue, []):
            messages.close()
        for consumer in self._consumers:
            if consumer.queue == queue:
                await consumer.aclose()

    async def receive(
        self, queue: str, *, limit: int = 1, visibility_timeout: str | float | timedelta = 30
    ) -> list[Message]:
        """Take up to `limit` messages that no other consumer has, without waiting.

        A message comes back to the queue when it is not acknowledged within
        `visibility_timeout`.

        Raises:
            InvalidValue: `queue_invalid`, or a number out of range.
        """
        checked_queue(queue)
        seconds = checked_visibility(visibility_timeout)
        checked_count(limit, "limit", "/limit")
        await self._ensure(queue)
        rows = await self._database.fetch_all(_RECEIVE, (queue, int(-(-seconds // 1)), limit))
        return [Message.taken(queue, row) for row in rows]

    async def acknowledge(self, queue: str, msg_id: int) -> bool:
        """Archive a received message. False: there is none of this number in the queue.

        Raises:
            InvalidValue: `queue_invalid`, or `msg_id` is no number.
        """
        checked_queue(queue)
        checked_number(msg_id, "/msg_id")
        await self._ensure(queue)
        row = await self._database.fetch_one(_ARCHIVE, (queue, msg_id))
        return bool(row and row["done"])

    @property
    def is_listening(self) -> bool | None:
        """False while the connection that hears is lost, None while nobody wants to hear."""
        return not self._listener.is_lost if self._listener.channels else None

    async def health(self) -> JsonObject:
        """Return whether the database answers and notifications come through.

        `{database, listening, channels, connected_since, last_notification_at, reconnects,
        listeners, subscriptions, queue_usage, latency_ms}`; `listening` is None while nobody does,
        `connected_since` is that of the present connection, `listeners` says how far each is
        (see `Messages.progress`), `subscriptions` who is how far
        behind (see `Subscription`), `queue_usage` is how full PostgreSQL's queue is, 0 to 1.
        """
        began = time.perf_counter()
        channels = self._listener.channels
        health: JsonObject = {
            "database": True,
            "listening": self._listener.connected if channels else None,
            "channels": list(channels),
            "connected_since": _text(self._listener.connected_since),
            "last_notification_at": _text(self._listener.heard_at),
            "listeners": [
                one.progress()
                for listeners in (*self._listening.values(), self._consumers)
                for one in listeners
                if not one.closed
            ],
            "subscriptions": [],
            "reconnects": self._listener.reconnects,
            "queue_usage": None,
            "latency_ms": None,
        }
        try:
            row = await self._database.fetch_one(_HEALTH)
            answered = time.perf_counter()
            found = await self.subscriptions()
        except FlowBuilderError as error:
            return {**health, "database": False, "error": error.message}
        health["queue_usage"] = row["usage"] if row else None
        health["latency_ms"] = round((answered - began) * 1000, 3)
        health["subscriptions"] = [one.as_json() for one in found]
        return health

    # -- inside -----------------------------------------------------------------------------

    async def _store(self, queue: str, body: Jsonb, seconds: float) -> int:
        await self._ensure(queue)
        try:
            row = await self._database.fetch_one(_SEND, (queue, body, seconds))
        except DatabaseError as error:
            if error.code != "schema_missing":
                raise
            self._known.discard(queue)  # somebody has dropped it since
            await self._ensure(queue)
            row = await self._database.fetch_one(_SEND, (queue, body, seconds))
        assert row is not None
        return int(row["id"])

    async def _ensure(self, queue: str) -> None:
        if queue not in self._known:
            await self._database.execute(_CREATE, (queue, queue))
            self._known.add(queue)

    async def _notify(self, queue: str, number: int) -> bool:
        payload = json.dumps({"queue": queue, "msg_id": number})
        try:
            await notify(self._database, [queue], [payload])
        except FlowBuilderError as error:
            log.warning("message %s of %s is stored but not announced: %s", number, queue, error)
            return False
        return True


def _checked_payload(payload: Any) -> Jsonb:
    if not isinstance(payload, dict):
        raise InvalidValue("a message is a JSON object", pointer="", code="payload_invalid")
    return Jsonb(check(payload, limits=Limits(bytes=_LARGEST_MESSAGE)))


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
