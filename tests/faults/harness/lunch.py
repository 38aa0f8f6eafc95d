"""Somebody who begins a transaction, looks at something, and goes to lunch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

_HOLD = "select txid_current(), count(*) from flowbuilder.tasks"


@asynccontextmanager
async def at_lunch(dsn: str) -> AsyncIterator[None]:
    """A session that has a snapshot and does nothing: nothing dead can be cleared away."""
    async with await psycopg.AsyncConnection.connect(dsn, application_name="faults") as session:
        await session.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await session.execute(_HOLD)
        yield
        await session.rollback()
