"""A database as one workspace sees it: as a role that owns nothing, under row-level security.

Every statement runs in a transaction that takes the role flowbuilder_app and names the workspace;
both end with the transaction, so a pooled connection carries nothing over to whom it is lent next.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from psycopg.rows import DictRow

from flowbuilder.errors import DatabaseError
from flowbuilder.executor.database import Connection, Database, Parameters
from flowbuilder.executor.traced import TRACE
from flowbuilder.telemetry import tracing

T = TypeVar("T")

_ENTER = b"""
select set_config('role', 'flowbuilder_app', true), set_config('flowbuilder.workspace', %s, true),
       set_config('flowbuilder.actor', %s, true)"""
#: Whose request this is; what is made by it remembers that.
ACTOR: ContextVar[str] = ContextVar("flowbuilder_actor", default="")
_GRANT = b"select flowbuilder.grant_access() as given"
_MAY_ENTER = b"""
select pg_has_role(current_user, 'flowbuilder_app',
        case when current_setting('server_version_num')::integer >= 160000
             then 'set' else 'member' end)
   and has_schema_privilege('flowbuilder_app', 'flowbuilder', 'usage') as may
where to_regrole('flowbuilder_app') is not null"""


class ScopedDatabase(Database):
    """One workspace's view of a database; it uses the connections of the one it was made from."""

    def __init__(self, base: Database, workspace: str) -> None:
        # not Database.__init__: everything that has to do with the pool is the base's business
        self._base = base
        self._size = base._size
        self._prepare = base._prepare
        self.workspace = workspace

    @property
    def dsn(self) -> str:
        """The connection string of the base."""
        return self._base.dsn

    async def close(self) -> None:
        """Do nothing: the connections belong to the base."""

    async def within(self, seconds: float, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call gives, as `Database.within` does."""
        return await self._base.within(seconds, call)

    async def dedicated(self, *, application_name: str = "flowbuilder") -> Connection:
        """Refuse: a connection outside of transactions would see every workspace."""
        raise DatabaseError("a workspace's view has no connections of its own")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction of this workspace."""
        async with self._base.transaction() as connection:
            await connection.execute(_ENTER, (self.workspace, ACTOR.get()), prepare=self._prepare)
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction of this workspace."""
        async with self.connection() as connection:
            yield connection

    def _lent(self) -> AbstractAsyncContextManager[Connection]:
        return self._base.connection()

    async def _send(
        self, connection: Connection, query: bytes, parameters: Parameters
    ) -> list[DictRow]:
        """Run one statement in its transaction; all of it goes there and back once."""
        async with connection.pipeline(), connection.transaction():
            await connection.execute(_ENTER, (self.workspace, ACTOR.get()), prepare=self._prepare)
            if (trace := tracing.current()) is not None:
                await connection.execute(TRACE, (trace,), prepare=self._prepare)
            cursor = await connection.execute(query, parameters, prepare=self._prepare)
        return await cursor.fetchall() if cursor.description else []


async def check_role(database: Database) -> None:
    """Make sure that the service's role is there, may be taken and has its rights.

    Where migrations could not make it, an administrator has done so later: it gets its rights now.

    Raises:
        DatabaseError: `app_role_missing`.
    """
    if await _may_enter(database):
        return
    row = await database.fetch_one(_GRANT)
    if not (row and row["given"] and await _may_enter(database)):
        raise DatabaseError(
            "The role flowbuilder_app is missing, or this user may not take it.",
            code="app_role_missing",
            hint="As an administrator of the database: create role flowbuilder_app nologin; "
            "grant flowbuilder_app to <the user of FLOWBUILDER_DATABASE_URL>.",
        )


async def _may_enter(database: Database) -> bool:
    row = await database.fetch_one(_MAY_ENTER)
    return bool(row and row["may"])
