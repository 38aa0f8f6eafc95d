"""A worker that kills itself once, at a named point of a transactional tool's attempt.

`python -m tests.support.transactional_worker DSN MARKER POINT`: the file MARKER is made right
before the process dies, and where it is there already, nothing dies any more. With a folder instead
of a DSN the embedded server there is used, and the run is started here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from flowbuilder.executor import embedded, transactions
from flowbuilder.executor.database import Database
from flowbuilder.executor.migrator import migrate
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.slots import Slots
from flowbuilder.executor.store import Store
from flowbuilder.executor.worker import Worker
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.tools import Context, ToolRegistry, tool

EFFECTS = b"create table if not exists public.effects (key text, attempt integer)"
#: Where a worker may die; at `cut` only the connection does, while COMMIT is under way.
POINTS = ("before_effect", "after_effect", "before_completion", "completed", "committed", "cut")
SETTINGS = Settings(concurrency=2, poll_interval=timedelta(milliseconds=50))
FLOW = Flow.model_validate(
    {
        "flow": "effects",
        "steps": [
            {"id": "note", "tool": "effect.note", "args": {"value": 0}},
            {"id": "last", "tool": "effect.note", "args": {"value": "${{ steps.note }}"}},
        ],
        "output": "${{ steps.last }}",
    }
)


class Deaths:
    """Dies at one point, once."""

    def __init__(self, marker: Path, point: str) -> None:
        self.marker = marker
        self.point = point

    def at(self, point: str) -> None:
        """Die here, if this is the point and it is the first time."""
        if point == self.point and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def registry(deaths: Deaths) -> ToolRegistry:
    """Return the one tool."""

    @tool("effect.note", effects="write", transactional=True)
    async def note(value: int, context: Context) -> int:
        deaths.at("before_effect")
        await context.connection.execute(
            "insert into public.effects values (%s, %s)", (context.idempotency_key, context.attempt)
        )
        deaths.at("after_effect")
        return value

    return ToolRegistry([note])


def arm(deaths: Deaths) -> None:
    """Put the deaths into the course of an attempt."""
    complete, end = transactions.Transactions._complete, Slots._end

    async def completing(self: Any, connection: Any, *rest: Any) -> None:
        deaths.at("before_completion")
        await complete(self, connection, *rest)
        deaths.at("completed")
        if deaths.point == "cut" and not deaths.marker.exists():
            deaths.marker.touch()
            pid = connection.info.backend_pid
            async with await psycopg.AsyncConnection.connect(sys.argv[1]) as other:
                await other.execute("select pg_terminate_backend(%s)", (pid,))

    def ending(self: Any, *rest: Any) -> None:
        deaths.at("committed")
        end(self, *rest)

    setattr(transactions.Transactions, "_complete", completing)  # noqa: B010 - for the type checker
    setattr(Slots, "_end", ending)  # noqa: B010


async def start_run(store: Store, deaths: Deaths) -> str:
    """Start the run, or find the one that was started before."""
    version = await store.register_version(FLOW, registry(deaths))
    run, _ = await store.start_run(version.id, None, timeout_seconds=600, idempotency_key="the run")
    return run.id


async def main(where: str, marker: Path, point: str) -> None:
    """Work until killed."""
    deaths = Deaths(marker, point)
    arm(deaths)
    async with AsyncExitStack() as stack:
        alone = "://" not in where
        dsn = (await embedded.start_async(Path(where))).dsn if alone else where
        database = await stack.enter_async_context(await Database.open(dsn))
        if alone:
            await migrate(dsn)
            await database.execute(EFFECTS)
            await start_run(Store(database), deaths)
        notifications = await stack.enter_async_context(Notifications(database))
        worker = Worker(Store(database), registry(deaths), SETTINGS, notifications=notifications)
        await stack.enter_async_context(worker)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
