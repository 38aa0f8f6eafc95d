"""One LISTEN connection for the whole process.

It reconnects for ever. What was sent while it was away is lost to it, so after every connect each
listener is told to look for itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.database import Connection, Database

log = logging.getLogger(__name__)

#: Called with a notification's payload, or with None: something may have been missed.
Heard = Callable[[str | None], None]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


def pause(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row, jittered, at most 5."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)


class Listener:
    """Hears the channels that somebody wants to hear; opens its connection when first asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._callbacks: dict[str, list[Heard]] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.connected = False
        self.connected_since: datetime | None = None
        """Since when notifications come through; None while they do not."""
        self.heard_at: datetime | None = None
        self._live: set[str] = set()  # the channels that the server knows of
        """When the last notification came."""
        self.reconnects = 0
        """How often the connection was lost and made anew."""
        self._lost_at = 0.0

    @property
    def channels(self) -> list[str]:
        """The channels that are listened to."""
        return sorted(self._callbacks)

    @property
    def is_lost(self) -> bool:
        """Whether the connection could not be made, or broke, and is not there again."""
        return self._lost_at > 0 and not self.connected

    def hear(self, channel: str, callback: Heard) -> Callable[[], None]:
        """Call `callback` for every notification of a channel, until the result is called.

        The callback runs on the event loop and must not block. It gets None when notifications
        may have been missed, the first time right after the channel is listened to.
        """
        self._callbacks.setdefault(channel, []).append(callback)
        if channel in self._live:
            callback(None)
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="flowbuilder-listener")

        def stop() -> None:
            listeners = self._callbacks.get(channel, [])
            if callback in listeners:
                listeners.remove(callback)
            if not listeners:
                self._callbacks.pop(channel, None)
                self._changed.set()

        return stop

    async def close(self) -> None:
        """Stop listening and close the connection."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                connection = await self._database.dedicated(application_name="flowbuilder-listen")
            except FlowBuilderError as error:
                failures = self._lost(error, failures)
                await asyncio.sleep(pause(failures))
                continue
            try:
                await self._serve(connection, failures)
            except (psycopg.Error, OSError) as error:
                if self.connected:
                    self.reconnects += 1
                    failures = 0
                failures = self._lost(error, failures)
            finally:
                self.connected = False
                self._live = set()
                self.connected_since = None
                await connection.close()
            await asyncio.sleep(pause(failures))

    def _lost(self, error: Exception, failures: int) -> int:
        if not failures:
            self._lost_at = time.monotonic()
            log.warning(
                "notifications are interrupted, polling meanwhile: %s",
                error,
                extra={"channels": self.channels, "reconnects": self.reconnects},
            )
        return failures + 1

    def _found(self, failures: int) -> None:
        self.connected = True
        self.connected_since = datetime.now(UTC)
        if failures:
            log.warning(
                "notifications come again",
                extra={
                    "channels": self.channels,
                    "reconnects": self.reconnects,
                    "failures": failures,
                    "down_seconds": round(time.monotonic() - self._lost_at, 3),
                },
            )

    async def _serve(self, connection: Connection, failures: int) -> None:
        """Listen until the connection breaks; `failures` to get one came before."""
        while True:
            self._changed.clear()
            wanted = set(self._callbacks)
            for channel in sorted(wanted - self._live):
                await _say(connection, "listen {}", channel)
            for channel in sorted(self._live - wanted):
                await _say(connection, "unlisten {}", channel)
            fresh, self._live = wanted - self._live, wanted
            if not self.connected:
                self._found(failures)
            for channel in fresh:
                self._tell(channel, None)
            await self._receive_until_changed(connection)

    async def _receive_until_changed(self, connection: Connection) -> None:
        # Waiting for notifications leaves the connection idle, so it may be interrupted.
        receiving = asyncio.create_task(self._receive(connection))
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({receiving, changed}, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                receiving.result()
        finally:
            receiving.cancel()
            changed.cancel()
            await asyncio.gather(receiving, changed, return_exceptions=True)

    async def _receive(self, connection: Connection) -> None:
        async for notification in connection.notifies():
            self.heard_at = datetime.now(UTC)
            self._tell(notification.channel, notification.payload)
        raise psycopg.OperationalError("the stream of notifications has ended")

    def _tell(self, channel: str, payload: str | None) -> None:
        tell(channel, self._callbacks.get(channel, ()), payload)


def tell(channel: str, callbacks: Iterable[Callable[..., None]], *said: object) -> None:
    """Call back whoever hears a channel; one that fails does not deafen the others."""
    for callback in list(callbacks):
        try:
            callback(*said)
        except Exception:
            log.exception("a listener of %s failed", channel)


async def _say(connection: Connection, statement: str, channel: str) -> None:
    await connection.execute(sql.SQL(statement).format(sql.Identifier(channel)))
