"""The session lock by which a worker is known to be alive.

It is an advisory lock named by the worker's id, on a connection of its own. Whoever sees it gone
knows that the process, or its connection, is gone.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

import psycopg

from flowbuilder.errors import DatabaseUnavailable, FlowBuilderError
from flowbuilder.executor.database import Connection, Database
from flowbuilder.executor.listener import pause

log = logging.getLogger(__name__)

_LOCK = b"select pg_try_advisory_lock(%s::bigint) as locked"
_RETRY_SECONDS = 0.1
#: Who is back too late was given up meanwhile: a second look comes a second after the first.
_LONGEST_PAUSE = 0.5


def lock_key(worker_id: str) -> int:
    """Return the lock's number: the first eight bytes of the id, as PostgreSQL's bigint."""
    return int.from_bytes(uuid.UUID(worker_id).bytes[:8], "big", signed=True)


class SessionLock:
    """Holds the lock, and takes it again when its connection breaks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[None] | None = None

    async def hold(self, worker_id: str) -> None:
        """Take the lock of this id, giving back any other. Raises: DatabaseUnavailable."""
        await self.release()
        connection = await self._take(worker_id)
        self._task = asyncio.create_task(
            self._keep(connection, worker_id), name="flowbuilder-session-lock"
        )

    async def release(self) -> None:
        """Give the lock back."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _take(self, worker_id: str) -> Connection:
        """Connect and take the lock.

        It may still be held for a moment by our own session before, if the server has not
        noticed yet that the connection broke.
        """
        connection = await self._database.dedicated(application_name="flowbuilder-worker")
        try:
            while True:
                cursor = await connection.execute(_LOCK, (lock_key(worker_id),))
                row = await cursor.fetchone()
                if row is not None and row["locked"]:
                    return connection
                await asyncio.sleep(_RETRY_SECONDS)
        except BaseException as error:
            await connection.close()
            if isinstance(error, psycopg.Error):
                raise DatabaseUnavailable("the session lock could not be taken") from error
            raise

    async def _keep(self, connection: Connection, worker_id: str) -> None:
        failures = 0
        while True:
            try:
                # Nothing is listened to: this ends when the connection does.
                async for _ in connection.notifies():
                    pass
            except (psycopg.Error, OSError) as error:
                log.debug("the session of worker %s broke: %s", worker_id, error)
            finally:
                await connection.close()
            failures = 0
            while connection.closed:
                try:
                    connection = await self._take(worker_id)
                except FlowBuilderError:
                    failures += 1
                    await asyncio.sleep(min(pause(failures), _LONGEST_PAUSE))
