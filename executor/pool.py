"""A pool of connections that is back as soon as its server is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[DictRow]]

#: A pool tries at growing intervals and then gives up. It begins anew so soon: else it would sit
#: out a pause as long as the outage, when the server has long been back.
_TRYING_SECONDS = 0.5
_knocking: set[asyncio.Task[None]] = set()


def make_pool(
    conninfo: str,
    *,
    name: str,
    size: int,
    wait: float,
    configure: Callable[[AsyncConnection[Any]], Awaitable[None]],
    check: Callable[[AsyncConnection[DictRow]], Awaitable[None]],
) -> Pool:
    """Return a pool that is still to be opened; `wait`: seconds for a free connection."""
    return AsyncConnectionPool(
        conninfo,
        connection_class=AsyncConnection,
        kwargs={"autocommit": True, "row_factory": dict_row},
        min_size=1,
        max_size=size,
        open=False,
        configure=configure,
        check=check,
        timeout=wait,
        reconnect_timeout=_TRYING_SECONDS * random.uniform(0.8, 1.2),
        reconnect_failed=_knock,
        name=name,
    )


def _knock(pool: Pool) -> None:
    """Ask for a connection, so that a pool that has given up tries to make one again."""

    async def ask() -> None:
        with suppress(psycopg.Error):
            async with pool.connection(timeout=4 * _TRYING_SECONDS):
                pass

    task = asyncio.create_task(ask(), name="flowbuilder-knock")
    _knocking.add(task)
    task.add_done_callback(_knocking.discard)
