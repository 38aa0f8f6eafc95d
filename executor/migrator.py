"""Brings a database to the schema of this version.

`migrations/NNNN_name.sql` are applied once each, in order, every one in a transaction of its own;
an applied file never changes again. `migrations/functions/<name>.sql` hold one function of the
schema `flowbuilder` each; they are applied anew whenever their text differs from what the
database has, all in one transaction, and a function whose file is gone is dropped.

Everything happens under one advisory lock, so that any number of processes may do it at once.
When nothing is to do it takes one round trip and no lock. A database that has numbered files
which this version does not know belongs to a newer one and is left alone: during an upgrade the
workers of the version before go on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from flowbuilder.errors import MigrationError
from flowbuilder.executor.database import Connection, Database, connect
from flowbuilder.executor.queue_schema import install_pgmq
from flowbuilder.executor.sqlstates import map_error

#: Seconds that one process waits for another one's migration.
LOCK_TIMEOUT = 120.0

_LOCK = b"select pg_advisory_lock(7307190260134772325)"  # any number, the same for ever
_UNLOCK = b"select pg_advisory_unlock(7307190260134772325)"
_PGMQ = "pgmq"
_NUMBERED = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_FUNCTION = re.compile(r"[a-z][a-z0-9_]*\.sql")

_BOOKS = b"""
create schema if not exists flowbuilder;
create table if not exists flowbuilder.migrations (
    kind       text not null check (kind in ('pgmq', 'file', 'function')),
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now(),
    primary key (kind, name)
);
comment on table flowbuilder.migrations is 'What flowbuilder has applied to this database.'
"""
_READ = b"select kind, name, checksum from flowbuilder.migrations"
_RECORD = b"""
insert into flowbuilder.migrations (kind, name, checksum) values (%s, %s, %s)
on conflict (kind, name) do update set checksum = excluded.checksum, applied_at = now()
"""
_FORGET = b"delete from flowbuilder.migrations where kind = 'function' and name = %s"
#: Whatever was new has no rights yet. An older schema has no function for them.
_RIGHTS = b"""
do $$
begin
    if to_regprocedure('flowbuilder.grant_access()') is not null then
        perform flowbuilder.grant_access();
    end if;
end
$$
"""
#: xmin tells which of the functions of a name a statement has written.
_OVERLOADS = b"""
select p.oid::regprocedure::text as signature, p.xmin::text as written
from pg_catalog.pg_proc p
where p.pronamespace = 'flowbuilder'::regnamespace and p.proname = %s
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class MigrationReport:
    """What one call of `migrate` did; all empty when nothing was to do."""

    applied: list[str] = field(default_factory=list)
    """Numbered files, in order."""
    functions: list[str] = field(default_factory=list)
    """Functions created or replaced."""
    dropped: list[str] = field(default_factory=list)
    """Functions whose file is gone."""
    pgmq: str | None = None
    """Where pgmq comes from and its version, such as `sql 1.13.0`."""
    newer: list[str] = field(default_factory=list)
    """Numbered files that the database has and this version does not know."""


@dataclass(frozen=True, slots=True)
class _Script:
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Work:
    """The difference between the files and what a database has recorded."""

    pgmq: str | None
    """What is installed; None: nothing yet."""
    files: list[_Script]
    functions: list[_Script]
    dropped: list[str]
    newer: list[str]

    def names(self) -> list[str]:
        pgmq = [] if self.pgmq else [_PGMQ]
        functions = [f"functions/{script.name}" for script in self.functions]
        dropped = [f"drop functions/{name}" for name in self.dropped]
        return [*pgmq, *(script.name for script in self.files), *functions, *dropped]


async def migrate(
    target: Database | str,
    *,
    folder: Traversable | None = None,
    lock_timeout: float = LOCK_TIMEOUT,
) -> MigrationReport:
    """Apply what is missing and return what was done. Safe to call at every start.

    `target`: an open Database or a DSN; a DSN has to lead to the server itself, not through a
    transaction pooler. `folder`: the files, by default those of this package.

    Raises:
        MigrationError: migration_failed, migration_changed, migration_order, migration_name,
            migration_locked, pgmq_too_old.
        DatabaseUnavailable: The server cannot be reached.
    """
    scripts = _Scripts.read(folder)
    if isinstance(target, Database):
        async with target.connection() as connection:
            work = await _compare(connection, scripts)
        if not work.names():
            return MigrationReport(pgmq=work.pgmq, newer=work.newer)
    async with _session(target) as connection, _locked(connection, lock_timeout):
        # Looked at once more, now that nobody else can be at work.
        return await _apply(connection, await _compare(connection, scripts))


async def pending(target: Database | str, *, folder: Traversable | None = None) -> list[str]:
    """Return the names of what `migrate` would do, [] when the schema is up to date.

    Raises:
        MigrationError: An applied file has changed, or files are misnamed or out of order.
        DatabaseUnavailable: The server cannot be reached.
    """
    scripts = _Scripts.read(folder)
    if isinstance(target, Database):
        async with target.connection() as connection:
            return (await _compare(connection, scripts)).names()
    async with _session(target) as connection:
        return (await _compare(connection, scripts)).names()


# -- what is to do --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scripts:
    files: list[_Script]
    functions: list[_Script]

    @classmethod
    def read(cls, folder: Traversable | None) -> _Scripts:
        root = folder or files("flowbuilder") / "migrations"
        functions = root / "functions"
        return cls(
            _read(root.iterdir(), _NUMBERED),
            _read(functions.iterdir() if functions.is_dir() else (), _FUNCTION),
        )


def _read(entries: Iterable[Traversable], pattern: re.Pattern[str]) -> list[_Script]:
    scripts: list[_Script] = []
    for entry in sorted(entries, key=lambda one: one.name):
        if not entry.name.endswith(".sql"):
            continue
        if not pattern.fullmatch(entry.name):
            raise MigrationError(
                f"{entry.name!r} is no name for a migration.",
                code="migration_name",
                hint="Write 0002_what_it_does.sql, or functions/name_of_the_function.sql.",
            )
        scripts.append(_Script(entry.name.removesuffix(".sql"), entry.read_text("utf-8")))
    return scripts


async def _compare(connection: Connection, scripts: _Scripts) -> _Work:
    try:
        cursor = await connection.execute(_READ)
        rows = await cursor.fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        rows = []
    books: dict[str, dict[str, str]] = {kind: {} for kind in ("pgmq", "file", "function")}
    for row in rows:
        books[row["kind"]][row["name"]] = row["checksum"]
    pgmq = books["pgmq"].get(_PGMQ)
    newer = sorted(books["file"].keys() - {script.name for script in scripts.files})
    missing = _missing(scripts.files, books["file"], newer)
    if newer:
        return _Work(pgmq, [], [], [], newer)
    changed = [one for one in scripts.functions if books["function"].get(one.name) != one.checksum]
    gone = sorted(books["function"].keys() - {script.name for script in scripts.functions})
    return _Work(pgmq, missing, changed, gone, [])


def _missing(scripts: list[_Script], applied: dict[str, str], newer: list[str]) -> list[_Script]:
    missing: list[_Script] = []
    numbers: set[str] = set()
    for script in scripts:
        number = script.name[:4]
        if number in numbers:
            raise MigrationError(f"Two files have the number {number}.", code="migration_name")
        numbers.add(number)
        if script.name not in applied:
            missing.append(script)
        elif applied[script.name] != script.checksum:
            raise MigrationError(
                f"{script.name} has changed since it was applied to this database.",
                code="migration_changed",
                hint="Put the old text back, and the change into a new numbered file.",
            )
    if missing and missing[0].name < max(applied, default=""):
        raise MigrationError(
            f"{missing[0].name} is to be applied, but the database is already past it, at "
            f"{max(applied)}.",
            code="migration_order",
            hint="Give it a higher number; or this database belongs to another branch."
            if not newer
            else "This database belongs to another branch of the code.",
        )
    return missing


# -- doing it -------------------------------------------------------------------------------


async def _apply(connection: Connection, work: _Work) -> MigrationReport:
    if not work.names():
        return MigrationReport(pgmq=work.pgmq, newer=work.newer)
    pgmq = work.pgmq
    if pgmq is None:
        async with _step(connection, _PGMQ):
            await connection.execute(_BOOKS)
            pgmq = str(await install_pgmq(connection))
            await connection.execute(_RECORD, ("pgmq", _PGMQ, pgmq))
    for script in work.files:
        async with _step(connection, f"{script.name}.sql", script.text):
            await connection.execute(script.text.encode())
            await connection.execute(_RECORD, ("file", script.name, script.checksum))
    await _apply_functions(connection, work)
    return MigrationReport(
        applied=[script.name for script in work.files],
        functions=[script.name for script in work.functions],
        dropped=work.dropped,
        pgmq=pgmq,
    )


async def _apply_functions(connection: Connection, work: _Work) -> None:
    """Apply all in one transaction: nobody ever calls a mixture of two versions."""
    async with _step(connection, "functions"):
        # Bodies name each other and tables; they are looked at when all are there.
        await connection.execute(b"set local check_function_bodies = off")
        for name in work.dropped:
            async with _step(connection, f"functions/{name}.sql"):
                await _drop(connection, await _overloads(connection, name))
                await connection.execute(_FORGET, (name,))
        for script in work.functions:
            async with _step(connection, f"functions/{script.name}.sql", script.text):
                await _replace(connection, script)
                await connection.execute(_RECORD, ("function", script.name, script.checksum))
        async with _step(connection, "rights of the service's role"):
            await connection.execute(_RIGHTS)


async def _replace(connection: Connection, script: _Script) -> None:
    """Create or replace a function, and drop what its file defined before and does no more."""
    before = await _overloads(connection, script.name)
    try:
        async with connection.transaction():
            await connection.execute(script.text.encode())
    except psycopg.errors.InvalidFunctionDefinition:
        # A changed result or parameter name cannot be replaced in place.
        await _drop(connection, before)
        await connection.execute(script.text.encode())
    after = await _overloads(connection, script.name)
    if not after:
        raise MigrationError(
            f"functions/{script.name}.sql does not define flowbuilder.{script.name}.",
            code="migration_name",
        )
    await _drop(connection, {one for one, xmin in before.items() if after.get(one) == xmin})


async def _overloads(connection: Connection, name: str) -> dict[str, str]:
    cursor = await connection.execute(_OVERLOADS, (name,))
    return {row["signature"]: row["written"] for row in await cursor.fetchall()}


async def _drop(connection: Connection, signatures: Iterable[str]) -> None:
    for signature in sorted(signatures):  # regprocedure quotes what needs quotes
        await connection.execute(f"drop routine {signature}".encode())


@asynccontextmanager
async def _session(target: Database | str) -> AsyncIterator[Connection]:
    if isinstance(target, Database):
        connection = await target.dedicated(application_name="flowbuilder migrate")
    else:
        connection = await connect(target, application_name="flowbuilder migrate")
    try:
        yield connection
    except psycopg.Error as error:
        raise map_error(error) from error
    finally:
        await connection.close()


@asynccontextmanager
async def _locked(connection: Connection, seconds: float) -> AsyncIterator[None]:
    # A migration may take its time, but must not queue for long before everybody else's work.
    await connection.execute(
        b"select set_config('lock_timeout', %s, false), "
        b"set_config('statement_timeout', '0', false)",
        (f"{int(seconds * 1000)}ms",),
    )
    try:
        await connection.execute(_LOCK)
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationError(
            f"Another process has been migrating this database for more than {seconds:g} seconds.",
            code="migration_locked",
            hint="Wait for it, or look in pg_stat_activity for 'flowbuilder migrate'.",
        ) from error
    try:
        await connection.execute(b"set lock_timeout = '15s'")
        yield
    finally:
        if not connection.broken:
            await connection.execute(_UNLOCK)


@asynccontextmanager
async def _step(connection: Connection, name: str, text: str = "") -> AsyncIterator[None]:
    """A transaction (a savepoint inside one) whose failure names the file and the line."""
    try:
        async with connection.transaction():
            yield
    except psycopg.Error as error:
        if connection.broken:
            raise
        position = error.diag.statement_position
        line = text.count("\n", 0, int(position)) + 1 if text and position else None
        where = f"{name}, line {line}" if line else name
        raise MigrationError(
            f"{where}: {map_error(error).message}", hint=error.diag.message_hint
        ) from error
