"""Statements that say which trace they belong to: the rows that they make keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import DictRow

#: For the rest of the transaction (migrations/0016_operations.sql).
TRACE: Final = b"select set_config('flowbuilder.trace', %s, true)"


async def send_traced(
    connection: AsyncConnection[DictRow],
    query: bytes,
    parameters: Sequence[object] | Mapping[str, object],
    trace: str,
    prepare: bool | None,
) -> list[DictRow]:
    """Run one statement in a transaction that knows its trace; one round trip all the same."""
    async with connection.pipeline(), connection.transaction():
        await connection.execute(TRACE, (trace,), prepare=prepare)
        cursor = await connection.execute(query, parameters, prepare=prepare)
    return await cursor.fetchall() if cursor.description else []
