"""One LISTEN connection for the whole process.

It reconnects for ever. What was sent while it was away is lost to it, so after every connect each
listener is told to look for itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

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
        self.reconnects = 0
        """How often the connection was lost and made anew."""

    @property
    def channels(self) -> list[str]:
        """The channels that are listened to."""
        return sorted(self._callbacks)

    def hear(self, channel: str, callback: Heard) -> Callable[[], None]:
        """Call `callback` for every notification of a channel, until the result is called.

        The callback runs on the event loop and must not block. It gets None when notifications
        may have been missed, the first time right after the channel is listened to.
        """
        known = channel in self._callbacks
        self._callbacks.setdefault(channel, []).append(callback)
        if known and self.connected:
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
                failures = 0
                await self._serve(connection)
            except (psycopg.Error, OSError) as error:
                self.reconnects += 1
                failures = self._lost(error, failures)
            finally:
                self.connected = False
                await connection.close()
            await asyncio.sleep(pause(failures))

    def _lost(self, error: Exception, failures: int) -> int:
        if not failures:
            log.warning("notifications are interrupted, polling meanwhile: %s", error)
        return failures + 1

    async def _serve(self, connection: Connection) -> None:
        """Listen until the connection breaks."""
        heard: set[str] = set()
        while True:
            self._changed.clear()
            wanted = set(self._callbacks)
            for channel in sorted(wanted - heard):
                await _say(connection, "listen {}", channel)
            for channel in sorted(heard - wanted):
                await _say(connection, "unlisten {}", channel)
            fresh, heard = wanted - heard, wanted
            self.connected = True
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
            self._tell(notification.channel, notification.payload)
        raise psycopg.OperationalError("the stream of notifications has ended")

    def _tell(self, channel: str, payload: str | None) -> None:
        for callback in list(self._callbacks.get(channel, ())):
            try:
                callback(payload)
            except Exception:
                log.exception("a listener of %s failed", channel)


async def _say(connection: Connection, statement: str, channel: str) -> None:
    await connection.execute(sql.SQL(statement).format(sql.Identifier(channel)))
