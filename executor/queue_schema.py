"""Installs pgmq, the message queue inside PostgreSQL.

As an extension where the server has it, else from the SQL that the Python package carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psycopg

from flowbuilder.errors import MigrationError
from flowbuilder.executor.database import Connection

#: The oldest pgmq with the functions that are used here.
OLDEST = (1, 5)

_FACTS = b"""
select (select extversion from pg_catalog.pg_extension where extname = 'pgmq') as installed,
       (select default_version from pg_catalog.pg_available_extensions
        where name = 'pgmq') as available,
       to_regclass('pgmq.meta') is not null as present
"""


@dataclass(frozen=True, slots=True)
class Pgmq:
    """Which pgmq a database has."""

    source: Literal["extension", "sql", "found"]
    """`found`: its tables were there already, installed as SQL by somebody else."""
    version: str | None

    def __str__(self) -> str:
        return f"{self.source} {self.version or 'unknown'}"


async def install_pgmq(connection: Connection) -> Pgmq:
    """Make sure that the schema `pgmq` exists. Runs inside the caller's transaction.

    Raises:
        MigrationError: The server's extension is too old (pgmq_too_old).
        psycopg.Error: The user may not create a schema.
    """
    cursor = await connection.execute(_FACTS)
    facts = await cursor.fetchone()
    assert facts is not None
    if facts["installed"]:
        return Pgmq("extension", _fit(facts["installed"]))
    if facts["present"]:
        return Pgmq("found", None)
    if facts["available"] and await _create_extension(connection):
        return Pgmq("extension", _fit(facts["available"]))
    return await _install_sql(connection)


async def _create_extension(connection: Connection) -> bool:
    try:
        async with connection.transaction():  # a savepoint
            await connection.execute(b"create extension pgmq")
    except psycopg.errors.InsufficientPrivilege:
        return False  # the SQL needs no superuser
    return True


async def _install_sql(connection: Connection) -> Pgmq:
    # Imported here: it is needed once in a database's life.
    from pgmq.install import get_embedded_install_sql, get_embedded_sql_version

    await connection.execute(get_embedded_install_sql().encode())
    return Pgmq("sql", get_embedded_sql_version())


def _fit(version: str) -> str:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        raise MigrationError(
            f"The server's pgmq {version} is too old.",
            code="pgmq_too_old",
            hint="Run: alter extension pgmq update; at least "
            f"{'.'.join(str(number) for number in OLDEST)} is needed.",
        )
    return version
