"""Connections to PostgreSQL: a pool, a few ways to run a statement, and the mapping of errors.

Statements on a pooled connection commit by themselves; `transaction()` groups several. Rows are
dictionaries, JSON columns are decoded.
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import orjson
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool

from flowbuilder.errors import DatabaseError, DatabaseUnavailable, InvalidValue
from flowbuilder.executor.dsn import conninfo, password_of
from flowbuilder.executor.pool import Pool, make_connection, make_pool
from flowbuilder.executor.sqlstates import (
    UNREACHABLE_HINT,
    is_about_preparing,
    is_stale_plan,
    map_error,
)
from flowbuilder.executor.traced import send_traced
from flowbuilder.telemetry import tracing

T = TypeVar("T")
Connection: TypeAlias = AsyncConnection[DictRow]
Parameters: TypeAlias = Sequence[object] | Mapping[str, object]

#: The oldest PostgreSQL that the schema works on.
OLDEST_SERVER = 14

#: For the first connection, however short a caller may wait for one later.
_OPENING_SECONDS = 30.0
#: For connections that are left behind to be closed.
_LEAVING_SECONDS = 5.0
#: For what a pool has under way when it is closed: connections to a server that hangs never come.
_CLOSING_SECONDS = 1.0
#: No statement here takes seconds, and an open transaction holds locks and dead rows: what hangs
#: has to end. Not sent as start-up options, because poolers refuse these.
_SESSION = b"""
select set_config('statement_timeout', '60s', false),
       set_config('lock_timeout', '30s', false),
       set_config('idle_in_transaction_session_timeout', '60s', false),
       set_config('timezone', 'UTC', false),
       set_config('jit', 'off', false)
"""
_PLACE = b"""
select oid, pg_postmaster_start_time() as up_since
from pg_database where datname = current_database()
"""


class Database:
    """A pool of connections to one database. Make it with `Database.open`.

    Every method raises what `sqlstates.map_error` makes of PostgreSQL's errors, so callers see
    errors of flowbuilder only.
    """

    def __init__(
        self,
        dsn: str,
        *,
        size: int,
        least: int,
        wait: float,
        name: str,
        direct: str | None = None,
    ) -> None:
        self._dsn = dsn
        self._direct = direct or dsn
        self._size = size
        self._least = least
        self._wait = wait
        self._name = name
        self._prepare: bool | None = None  # as the driver likes
        self._pool = self._make()
        self._left: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        size: int = 8,
        application_name: str = "flowbuilder",
        wait: float = 30.0,
        direct: str | None = None,
    ) -> Database:
        """Connect, and keep up to `size` connections.

        `wait`: seconds that a caller may wait for a free connection. `direct`: a DSN past a pooler,
        for `dedicated` connections.

        Raises:
            DatabaseUnavailable: The server cannot be reached or refuses this user.
            DatabaseError: It can, but is too old or not in UTF-8, or `direct` leads to another
                database (`database_direct_url_differs`).
        """
        # A pool only logs why it cannot connect; one connection by hand says it.
        first = await _place(dsn, application_name)
        if direct is not None and first != await _place(direct, application_name):
            raise DatabaseError(
                "The direct database URL leads to another database.",
                code="database_direct_url_differs",
                hint="Let FLOWBUILDER_DATABASE_DIRECT_URL and FLOWBUILDER_DATABASE_URL name one "
                "database: the first without, the second through the pooler.",
            )
        # Lost connections are replaced and reported to who used them: no warnings besides.
        if (logger := logging.getLogger("psycopg.pool")).level == logging.NOTSET:
            logger.setLevel(logging.ERROR)

        opened = cls(dsn, size=size, least=1, wait=wait, name=application_name, direct=direct)
        await opened.reach()
        return opened

    def apart(self, size: int) -> Database:
        """Return the same database by `size` connections of its own, once `reach` has made them.

        They stay, and are lent in turn. Closing them is up to the caller.
        """
        return Database(
            self._dsn, size=size, least=size, wait=self._wait, name=self._name, direct=self._direct
        )

    def _make(self) -> Pool:
        return make_pool(
            conninfo(self._dsn, self._name),
            name=self._name,
            least=self._least,
            size=self._size,
            wait=self._wait,
            configure=configure,
            check=_check,
        )

    async def reach(self) -> None:
        """Make the first connections, also after `close`: a pool opens only once.

        Raises:
            DatabaseUnavailable: The server cannot be reached.
        """
        if self._pool.closed:
            self._pool = self._make()
        try:
            # Waiting leaves no work to the pool's tasks: busy ones do not hear a cancellation,
            # and a program that fails without closing would hang at its end.
            await self._pool.open(wait=True, timeout=max(self._wait, _OPENING_SECONDS))
        except psycopg.Error as error:
            await self._pool.close()
            raise map_error(error, secret=password_of(self._dsn)) from error

    async def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        for task in self._left:
            task.cancel()
        await self._pool.close(timeout=_CLOSING_SECONDS)

    async def within(self, seconds: float, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call gives; give it up when it takes too long, and every connection too.

        A connection may be dead without a word: behind a firewall that has forgotten it, or a
        pooler whose server hangs. Whether the call was carried out is not known then.

        Raises:
            DatabaseUnavailable: There was no answer within `seconds`.
        """
        asked, pool = asyncio.ensure_future(call), self._pool
        try:
            await asyncio.wait({asked}, timeout=seconds)
        except asyncio.CancelledError:
            asked.cancel()
            raise
        if asked.done():
            return asked.result()
        if self._pool is pool and not pool.closed:
            self._pool = self._make()
            await self._pool.open(wait=False)
            self._leave(pool.close(timeout=_LEAVING_SECONDS))
        asked.cancel()  # the driver tries to cancel the statement, and is not waited for
        self._leave(asked)
        raise DatabaseUnavailable(
            f"The database has not answered within {seconds:g} seconds.", hint=UNREACHABLE_HINT
        )

    def _leave(self, work: Awaitable[object]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def dsn(self) -> str:
        """The connection string. It may hold a password: never print it, see `dsn.safe_dsn`."""
        return self._dsn

    def pool_stats(self) -> dict[str, int]:
        """Return how the pool is, as psycopg_pool counts it."""
        return self._pool.get_stats()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; every statement on it commits by itself."""
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        try:
            async with self._pool.connection() as connection:
                yield connection
        except psycopg.Error as error:
            raise map_error(error, secret=password_of(self._dsn)) from error
        except UnicodeEncodeError:  # psycopg has no other word for half a surrogate pair
            raise InvalidValue(
                "a text holds half a surrogate pair (\\ud800 to \\udfff) and is no Unicode",
                code="value_refused",
            ) from None
        # The pool may swallow a cancellation that arrives while it hands a connection out or
        # takes it back; who was cancelled would then go on as if nothing had been.
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction: committed at the end, rolled back on error."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch_all(self, query: bytes, parameters: Parameters = ()) -> list[DictRow]:
        """Run one statement and return its rows."""
        return await self._ask(query, parameters)

    async def fetch_one(self, query: bytes, parameters: Parameters = ()) -> DictRow | None:
        """Run one statement and return its first row, None if there is none."""
        rows = await self._ask(query, parameters)
        return rows[0] if rows else None

    async def execute(self, query: bytes, parameters: Parameters = ()) -> None:
        """Run one statement for its effect."""
        await self._ask(query, parameters)

    async def _ask(self, query: bytes, parameters: Parameters) -> list[DictRow]:
        """Run one statement, again when only what the driver had prepared stood in its way.

        A prepared statement goes stale when a migration changes its columns, and behind a
        transaction pooler it may belong to somebody else. Either is told before anything is
        executed.
        """
        for _ in range(self._size + 1):  # each connection may have its own stale one
            async with self._lent() as connection:
                try:
                    return await self._send(connection, query, parameters)
                except psycopg.Error as error:
                    if not is_about_preparing(error):
                        raise
                    if not is_stale_plan(error):
                        self._prepare = False
                    await connection.close()  # the pool makes a new one
        raise DatabaseUnavailable("prepared statements do not work on any connection")

    def _lent(self) -> AbstractAsyncContextManager[Connection]:
        return self.connection()

    async def _send(
        self, connection: Connection, query: bytes, parameters: Parameters
    ) -> list[DictRow]:
        if (trace := tracing.current()) is not None:
            return await send_traced(connection, query, parameters, trace, self._prepare)
        cursor = await connection.execute(query, parameters, prepare=self._prepare)
        return await cursor.fetchall() if cursor.description else []

    async def dedicated(self, *, application_name: str = "flowbuilder") -> Connection:
        """Open a connection outside the pool, for LISTEN or session locks; the caller closes it.

        Raises:
            DatabaseUnavailable: The server cannot be reached.
        """
        return await connect(self._direct, application_name=application_name)


async def _place(dsn: str, application_name: str) -> DictRow | None:
    """Return which database of which server this is, as long as that one is up."""
    connection = await connect(dsn, application_name=application_name)
    try:
        async with connection:
            return await (await connection.execute(_PLACE)).fetchone()
    except psycopg.Error as error:  # a server may go just then, too
        raise map_error(error, secret=password_of(dsn)) from error


async def _quietly(work: Awaitable[object]) -> None:
    with suppress(Exception, asyncio.CancelledError):
        await work


async def connect(dsn: str, *, application_name: str = "flowbuilder") -> Connection:
    """Open one connection with the same settings as the pool's.

    Raises:
        DatabaseUnavailable: The server cannot be reached or refuses this user.
        DatabaseError: It can, but is too old or not in UTF-8.
    """
    asked = conninfo(dsn, application_name)
    try:
        connection = await make_connection(asked)
    except psycopg.Error as error:
        mapped = map_error(error, secret=password_of(dsn))
        if not isinstance(mapped, DatabaseUnavailable):
            mapped = DatabaseUnavailable(mapped.message, hint=UNREACHABLE_HINT)
        raise mapped from error
    try:
        _check_server(connection)
        await configure(connection)
    except BaseException as error:  # a cancellation too must not leave the connection behind
        await connection.close()
        if isinstance(error, psycopg.Error):
            raise map_error(error, secret=password_of(dsn)) from error
        raise
    return connection


def _check_server(connection: Connection) -> None:
    major = connection.info.server_version // 10_000
    if major < OLDEST_SERVER:
        raise DatabaseError(
            f"PostgreSQL {major} is too old.",
            code="database_too_old",
            hint=f"flowbuilder needs PostgreSQL {OLDEST_SERVER} or newer.",
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", None):
        raise DatabaseError(
            f"The database stores text as {encoding}, not as UTF-8.",
            code="database_encoding",
            hint="Create it with: create database … encoding 'UTF8' template template0",
        )


async def configure(connection: AsyncConnection[Any]) -> None:
    """Give a session the settings that every connection of flowbuilder has."""
    set_json_loads(orjson.loads, connection)
    set_json_dumps(_json_bytes, connection)
    await connection.execute(_SESSION)


def _json_bytes(value: object) -> bytes:
    """Write JSON. Raises: InvalidValue (value_refused) for what has no place in it."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise InvalidValue(f"this value is no JSON: {error}", code="value_refused") from None


async def _check(connection: Connection) -> None:
    """Refuse a connection that died in the pool, without a round trip for a healthy one."""
    if is_disturbed(connection):
        await AsyncConnectionPool.check_connection(connection)


def is_disturbed(connection: AsyncConnection[Any]) -> bool:
    """Whether something waits to be read on an idle connection, or it is closed.

    The server says good-bye before it closes, so a dead connection has something to read.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
