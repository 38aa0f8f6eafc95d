"""Stands for a `Database` whose every statement goes over the same connection."""

from __future__ import annotations

from psycopg.rows import DictRow

from flowbuilder.executor.database import Connection, Parameters


class OneConnection:
    """As much of a `Database` as a store needs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch_all(self, query: bytes, values: Parameters = ()) -> list[DictRow]:
        """Run a statement and return its rows."""
        cursor = await self._connection.execute(query, values)
        return await cursor.fetchall()

    async def execute(self, query: bytes, values: Parameters = ()) -> None:
        """Run a statement that returns nothing."""
        await self._connection.execute(query, values)
