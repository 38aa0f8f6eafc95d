"""A worker as a process that a test may kill: `python -m tests.support.worker_process DSN LEDGER`.

With a folder instead of a DSN it uses the embedded server there, and starts the run itself.
Every call of the tool is one line of the ledger, `<pid> <n>`, written before the call goes on.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from flowbuilder.executor import embedded
from flowbuilder.executor.database import Database
from flowbuilder.executor.migrator import migrate
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.store import Store
from flowbuilder.executor.worker import Worker
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool

TASKS = 200
SETTINGS = Settings(concurrency=4, poll_interval=timedelta(milliseconds=100))
FLOW = Flow.model_validate(
    {
        "flow": "killed",
        "steps": [
            {
                "id": "each",
                "tool": "ledger.write",
                "for_each": list(range(TASKS)),
                "args": {"n": "${{ item }}"},
            },
            {"id": "last", "tool": "ledger.write", "args": {"n": -1}, "depends_on": ["each"]},
        ],
        "output": "${{ steps.each }}",
    }
)


def registry(ledger: Path) -> ToolRegistry:
    """Return the one tool, writing to this ledger."""

    @tool("ledger.write", effects="write")
    async def write(n: int) -> int:
        with ledger.open("a") as file:
            file.write(f"{os.getpid()} {n}\n")
        await asyncio.sleep(0.01)
        return n * 2

    return ToolRegistry([write])


async def start_run(store: Store, ledger: Path) -> str:
    """Start the run, or find the one that was started before."""
    version = await store.register_version(FLOW, registry(ledger))
    run, _ = await store.start_run(version.id, None, timeout_seconds=600, idempotency_key="the run")
    return run.id


async def main(where: str, ledger: Path) -> None:
    """Work until killed."""
    async with AsyncExitStack() as stack:
        alone = "://" not in where
        dsn = (await embedded.start_async(Path(where))).dsn if alone else where
        database = await stack.enter_async_context(await Database.open(dsn))
        if alone:
            await migrate(dsn)
            await start_run(Store(database), ledger)
        notifications = await stack.enter_async_context(Notifications(database))
        worker = Worker(Store(database), registry(ledger), SETTINGS, notifications=notifications)
        await stack.enter_async_context(worker)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
