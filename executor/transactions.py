"""Transactional tools: what their handler writes and the end of its task commit together.

The handler works in a transaction on a connection of its own, outside the pool, so that no
exchange waits for it. It holds no lock of the engine meanwhile: the run is locked when the task is
completed, right before the commit. Whatever goes wrong on the way, the whole is rolled back;
whether a commit was carried out whose answer was lost is known to the task's row alone, and a
report of the same attempt changes nothing there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.json import Json

from flowbuilder.errors import ExecutionError
from flowbuilder.executor import queries
from flowbuilder.executor.context import TaskContext
from flowbuilder.executor.database import Database, configure, is_disturbed
from flowbuilder.executor.dsn import password_of
from flowbuilder.executor.outages import through_outages
from flowbuilder.executor.records import LeasedTask, OutcomeKind
from flowbuilder.executor.sqlstates import map_error
from flowbuilder.types import JsonValue

log = logging.getLogger(__name__)

#: Connections of one worker for this purpose; further attempts wait for one, not counting the time.
MOST = 8
#: Connections kept while nobody needs them.
_KEPT = 2
#: A connection that answers later than this is not worth keeping.
_CLEANING_SECONDS = 2.0
#: How much later than the worker the server gives a transaction up whose worker is silent.
_SLACK_SECONDS = 5.0
#: How long a connection is tried for, before a handler is called.
_PATIENCE_SECONDS = 15.0
#: Undoes what a handler may have left behind in its session.
_RESET = b"""
close all; set session authorization default; reset all; unlisten *; discard temp; discard sequences
"""
#: Not undone: behind a pooler these may be the locks of others. They go with the connection.
_HOLDS_LOCKS = b"""
select exists (select from pg_catalog.pg_locks l
               where l.locktype = 'advisory' and l.pid = pg_catalog.pg_backend_pid())
"""


class Transactions:
    """Runs handlers inside transactions that end with their tasks."""

    def __init__(self, database: Database, worker_id: str) -> None:
        self._database = database
        self._worker_id = worker_id
        self._room = asyncio.Semaphore(MOST)
        self._idle: list[AsyncConnection[Any]] = []
        self._closed = False

    async def run(
        self,
        task: LeasedTask,
        context: TaskContext,
        call: Callable[[], Awaitable[JsonValue]],
        *,
        seconds: float,
    ) -> JsonValue:
        """Call a handler, complete its task, and commit both; return the result.

        `seconds` bound the handler, the completion and the commit together.

        Raises:
            StaleTask: The attempt is not this worker's any more; nothing was committed.
            TimeoutError: The time is over.
            FlowBuilderError: The database failed, or the handler has ended or broken the
                transaction.
            Exception: What `call` raises; nothing was committed.
        """
        try:
            async with self._room, self._lent() as connection, asyncio.timeout(seconds):
                async with connection.transaction():
                    mark = await self._begin(connection, seconds)
                    context.lend(connection)
                    try:
                        value = await call()
                    finally:
                        context.lend(None)
                    _check_intact(connection)
                    await self._complete(connection, context, value, mark)
                return value
        except psycopg.Error as error:
            raise map_error(error, secret=password_of(self._database.dsn)) from error

    async def close(self) -> None:
        """Close the connections that nobody uses; the others are closed when they come back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _begin(self, connection: AsyncConnection[Any], seconds: float) -> str:
        """Bound the transaction and mark it, so that another one is not taken for it."""
        mark = secrets.token_hex(8)
        limit = f"{int((seconds + _SLACK_SECONDS) * 1000)}ms"
        await connection.execute(queries.BEGIN_TRANSACTION, (limit, limit, mark))
        return mark

    async def _complete(
        self, connection: AsyncConnection[Any], context: TaskContext, value: JsonValue, mark: str
    ) -> None:
        outcome = context.charged(context.task.outcome(OutcomeKind.COMPLETED, output=value))
        await connection.execute(
            queries.COMPLETE_TRANSACTION, (self._worker_id, Json(outcome.as_json()), mark)
        )

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Lend a connection as psycopg makes them; what was done to its session is undone."""
        connection = await through_outages(self._taken, seconds=_PATIENCE_SECONDS)
        try:
            yield connection
        finally:
            await self._put_back(connection)

    async def _taken(self) -> AsyncConnection[Any]:
        while self._idle:
            connection = self._idle.pop()
            if not is_disturbed(connection):
                return connection
            await connection.close()
        made: AsyncConnection[Any] = await self._database.dedicated(
            application_name="flowbuilder transaction"
        )
        made.row_factory = tuple_row
        return made

    async def _put_back(self, connection: AsyncConnection[Any]) -> None:
        idle = connection.info.transaction_status is TransactionStatus.IDLE
        try:
            if idle and not self._closed and len(self._idle) < _KEPT:
                async with asyncio.timeout(_CLEANING_SECONDS):
                    if await _is_clean(connection):
                        self._idle.append(connection)
        except (psycopg.Error, TimeoutError) as error:
            log.debug("a connection is not used again: %s", error)
        finally:
            if connection not in self._idle:
                await connection.close()


async def _is_clean(connection: AsyncConnection[Any]) -> bool:
    """Undo what was done to a session; False when something is left of it."""
    connection.row_factory = tuple_row
    await connection.execute(_RESET)
    cursor = await connection.execute(_HOLDS_LOCKS)
    if await cursor.fetchone() != (False,):
        return False
    await configure(connection)
    return True


def _check_intact(connection: AsyncConnection[Any]) -> None:
    """Refuse to complete a task in a transaction that can only be rolled back.

    Raises:
        ExecutionError: A statement failed, and the handler went on (transaction_aborted).
    """
    if connection.info.transaction_status is TransactionStatus.INERROR:
        raise ExecutionError(
            "a statement of the handler failed, so its transaction cannot be committed",
            code="transaction_aborted",
            hint="Let the error out, or put the statement into `connection.transaction()`.",
        )
