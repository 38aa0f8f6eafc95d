"""A pool of connections that is back as soon as its server is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import DictRow, Row, dict_row
from psycopg_pool import AsyncConnectionPool

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[DictRow]]
T = TypeVar("T")

#: Seconds between two looks of a connection that waits for its server.
_LOOK_SECONDS = 60.0

#: A pool tries at growing intervals and then gives up. It begins anew so soon: else it would sit
#: out a pause as long as the outage, when the server has long been back.
_TRYING_SECONDS = 0.5
_knocking: set[asyncio.Task[None]] = set()


class SleepingConnection(AsyncConnection[Row]):
    """Sleeps until its server says something.

    The driver would look up ten times a second, to let signals through. An event loop hears of
    them anyway, and connections that listen all day would keep an idle process awake.
    """

    async def wait(
        self, gen: PQGen[T], interval: float = _LOOK_SECONDS, timeout: float | None = None
    ) -> T:
        """Consume a generator that operates on this connection; see `AsyncConnection.wait`."""
        return await super().wait(gen, interval, timeout)


async def make_connection(conninfo: str) -> AsyncConnection[DictRow]:
    """Open a connection as the pool's are, on which every statement commits by itself."""
    return await SleepingConnection.connect(conninfo, autocommit=True, row_factory=dict_row)


def make_pool(
    conninfo: str,
    *,
    name: str,
    least: int,
    size: int,
    wait: float,
    configure: Callable[[AsyncConnection[Any]], Awaitable[None]],
    check: Callable[[AsyncConnection[DictRow]], Awaitable[None]],
) -> Pool:
    """Return a pool of `least` to `size` connections that is still to be opened.

    `wait`: seconds for a free connection.
    """
    return AsyncConnectionPool(
        conninfo,
        connection_class=SleepingConnection[DictRow],
        kwargs={"autocommit": True, "row_factory": dict_row},
        min_size=least,
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
