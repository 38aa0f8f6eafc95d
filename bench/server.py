"""The PostgreSQL that all contenders share, its databases and its counters.

By default one of the benchmark's own, in a temporary folder, with fsync and synchronous_commit
on. Folders of benchmarks that were killed are removed by the next one.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow

from flowbuilder.bench.processes import cpu_seconds, postmaster_of
from flowbuilder.executor import embedded
from flowbuilder.executor.database import connect
from flowbuilder.executor.dsn import password_of
from flowbuilder.executor.scratch import SERVER, scratch_folder
from flowbuilder.executor.sqlstates import map_error
from flowbuilder.types import JsonObject

_PREFIX = "flowbuilder-bench-"
_STATEMENTS = "pg_stat_statements"
#: Seconds until a system that has worked is idle.
_SETTLE = 1.5
#: Statements of the probe.
_PROBES = 40

#: What the own server is set to: no checkpoint falls into a measurement, statements are counted.
_SETTINGS = {
    "shared_preload_libraries": _STATEMENTS,
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
}
#: What a report says about a server.
_SHOWN = (
    *("fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers"),
    *("max_wal_size", "checkpoint_timeout", "jit", "io_method"),
)

_COUNTERS = b"""
select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint as wal,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint as transactions"""
_CALLS = b"""
select coalesce(sum(s.calls), 0)::bigint as calls from pg_stat_statements s
join pg_catalog.pg_database d on d.oid = s.dbid where d.datname = %s"""
_SESSION = b"select pg_backend_pid() as pid, current_database() as database, version() as version"
_SHOW = b"select name, current_setting(name) as value from pg_settings where name = any(%s)"
#: Writes a record to the log and waits for its flush, and needs no table for it.
_PROBE = b"select pg_logical_emit_message(true, 'flowbuilder-bench', '')"


@dataclass(frozen=True, slots=True)
class Counters:
    """What a server has done up to a moment; None: it does not tell."""

    wal: int
    """Bytes."""
    transactions: int
    """Transaction ids that were given out: one for each transaction that wrote."""
    calls: int | None
    """Statements that clients have sent to one database."""
    cpu: float | None
    """Seconds of all processes of the server."""


class Server:
    """A PostgreSQL on which databases may be made and dropped."""

    def __init__(self, dsn: str, connection: AsyncConnection[DictRow], *, own: bool) -> None:
        self.own = own
        """Whether it is the benchmark's own server."""
        self.version = ""
        self.settings: JsonObject = {}
        self._dsn = dsn
        self._connection = connection
        self._counts_calls = False
        self._postmaster: int | None = None
        self._made: list[str] = []

    async def prepare(self) -> None:
        """Look what the server can tell."""
        row = await self._one(_SESSION)
        self._postmaster = postmaster_of(row["pid"], row["database"])
        self.version = row["version"]
        cursor = await self._connection.execute(_SHOW, (list(_SHOWN),))
        self.settings = {row["name"]: row["value"] for row in await cursor.fetchall()}
        self._counts_calls = await self._install_statements()

    async def _install_statements(self) -> bool:
        try:
            await self._connection.execute(b"create extension if not exists pg_stat_statements")
            await self._one(_CALLS, "")
        except psycopg.Error:  # not there, not preloaded, or not allowed
            return False
        return True

    async def fresh(self, name: str) -> str:
        """Make an empty database, drop those made before, and return its DSN.

        Dropping makes a checkpoint, so it comes before a measurement and not after it: what is
        written right after a checkpoint is written as whole pages. And databases that lie idle
        are visited by autovacuum, which costs time.
        """
        await self.drop()
        full = self._full(name)
        await self._connection.execute(sql.SQL("create database {}").format(sql.Identifier(full)))
        self._made.append(full)
        return make_conninfo(self._dsn, dbname=full)

    async def counters(self, name: str) -> Counters:
        """Return what was done up to now; statements are those of one database."""
        cpu = None if self._postmaster is None else cpu_seconds(self._postmaster)
        row = await self._one(_COUNTERS)
        calls = None
        if self._counts_calls:
            calls = (await self._one(_CALLS, self._full(name)))["calls"]
        return Counters(row["wal"], row["transactions"], calls, cpu)

    async def commit_ms(self) -> float:
        """Return the milliseconds that a durable commit takes just now (median)."""
        times: list[float] = []
        for _ in range(_PROBES):
            began = time.perf_counter()
            await self._connection.execute(_PROBE)
            times.append(time.perf_counter() - began)
        return 1000 * statistics.median(times)

    async def settle(self, name: str) -> None:
        """Do what autovacuum would find to do in a new database, and let everything calm down."""
        # A session's changes are counted at its end at the latest, so those of the first one,
        # which writes statistics, are seen by the second.
        for command in (b"analyze", b"vacuum"):
            connection = await connect(make_conninfo(self._dsn, dbname=self._full(name)))
            try:
                await connection.execute(command)
            finally:
                await connection.close()
        await asyncio.sleep(_SETTLE)

    async def drop(self) -> None:
        """Drop every database that was made."""
        while self._made:
            name = sql.Identifier(self._made.pop())
            await self._connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(name)
            )

    async def _one(self, query: bytes, *parameters: object) -> DictRow:
        row = await (await self._connection.execute(query, parameters)).fetchone()
        assert row is not None
        return row

    @staticmethod
    def _full(name: str) -> str:
        return f"flowbuilder_bench_{os.getpid()}_{name}"


@asynccontextmanager
async def open_server(dsn: str | None, root: Path) -> AsyncIterator[Server]:
    """Use the server of a DSN, or one of the benchmark's own in a new folder below `root`.

    Raises:
        EmbeddedServerError: The own server does not start.
        DatabaseUnavailable: The given one cannot be reached.
        DatabaseError: It may not be used so; databases have to be made.
    """
    if dsn is not None:
        async with _serve(dsn, own=False) as server:
            yield server
        return
    async with scratch_folder(root, _PREFIX) as folder:
        data = folder / SERVER
        await asyncio.to_thread(_set, data)
        running = await embedded.start_async(data)
        try:
            async with _serve(running.dsn, own=True) as server:
                yield server
        finally:
            await asyncio.to_thread(running.stop)


@asynccontextmanager
async def _serve(dsn: str, *, own: bool) -> AsyncIterator[Server]:
    connection = await connect(dsn, application_name="flowbuilder-bench")
    server = Server(dsn, connection, own=own)
    try:
        await server.prepare()
        yield server
    except psycopg.Error as error:
        raise map_error(error, secret=password_of(dsn)) from error
    finally:
        with suppress(psycopg.Error):
            await server.drop()
        await connection.close()


def _set(data: Path) -> None:
    """Start a server once to store the settings that take effect with its next start."""
    with (
        embedded.start(data) as running,
        psycopg.connect(running.dsn, autocommit=True) as connection,
    ):
        for name, value in _SETTINGS.items():
            connection.execute(
                sql.SQL("alter system set {} = {}").format(sql.Identifier(name), value)
            )
