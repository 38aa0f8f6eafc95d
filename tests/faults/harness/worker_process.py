"""One worker of the tests, as a process of its own: `work(Orders(...))` never returns.

A first SIGTERM stops it gracefully, a second one at once, as the product's own worker does.
"""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.database import Database
from flowbuilder.executor.listener import pause
from flowbuilder.executor.migrator import migrate
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import Exchange, Outcome
from flowbuilder.executor.store import Store
from flowbuilder.executor.worker import Worker
from flowbuilder.settings import Settings
from flowbuilder.tools import Context, ToolRegistry
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.tools import fault_registry

#: What programs start runs of; the step in the middle is a function of theirs.
WITH_FUNCTION: dict[str, Any] = {
    "flow": "with-function",
    "input": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
    "steps": [
        {"id": "before", "tool": "fault.work", "args": {"value": "${{ input.n }}", "ms": 5}},
        {"id": "own", "args": {"n": "${{ input.n }}"}, "depends_on": ["before"]},
        {"id": "after", "tool": "fault.work", "args": {"value": "${{ steps.own }}", "ms": 5}},
    ],
    "output": "${{ steps.after }}",
}


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a worker process is told at its start."""

    name: str
    dsn: str
    job: str = "work"
    """`work`, or `migrate`: bring the schema about and write a file `<name>.done`, or `prune`:
    delete what ended half a day ago, in small pages, or `program`: start runs with a function of
    its own, and write their ids to a file `<name>.runs`."""
    effects_dsn: str
    ledger: str
    folder: str
    concurrency: int = 4
    lease: float = 15.0
    poll: float = 0.1
    grace: float = 20.0
    max_claims: int = 10
    pool_size: int = 4
    pool_wait: float = 30.0
    direct: str | None = None
    """Past the pooler, for what needs a session."""
    crash: str | None = None
    """Where to die by kill -9, once for all workers with this order: `after_claim` (tasks have
    come, no handler has begun), `before_report` (handlers have ended), `after_report` (the
    database has committed the outcomes, the worker does nothing more)."""
    without: Sequence[str] = field(default_factory=list)
    """Tools that this worker does not have."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(**value)


class DyingStore(Store):
    """A store that kills its process at a chosen place, when nobody else has done so before."""

    def __init__(self, database: Database, *, at: str, mark: Path) -> None:
        super().__init__(database)
        self._at = at
        self._mark = mark

    async def exchange(self, worker_id: str, **given: Any) -> Exchange:
        outcomes: Sequence[Outcome] = given["outcomes"]
        if self._at == "before_report" and outcomes:
            self._die()
        answer = await super().exchange(worker_id, **given)
        if self._at == "after_report" and outcomes:
            self._die()
        if self._at == "after_claim" and answer.tasks:
            self._die()
        return answer

    def _die(self) -> None:
        try:
            os.close(os.open(self._mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def work(orders: Orders) -> None:
    """Work until killed or told to stop."""
    stacks = Path(orders.folder, f"{orders.name}.stacks").open("a", encoding="utf-8")  # noqa: SIM115
    faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=True)
    if orders.job == "migrate":
        asyncio.run(_migrate(orders.dsn))
        Path(orders.folder, f"{orders.name}.done").touch()
    elif orders.job == "prune":
        asyncio.run(_prune(orders.dsn))
    elif orders.job == "program":
        asyncio.run(_start_runs(orders))
    else:
        asyncio.run(_work(orders))


async def _migrate(dsn: str) -> None:
    await migrate(dsn)


async def _prune(dsn: str) -> None:
    async with await Database.open(dsn, size=1) as database:
        await Store(database).prune(older_than_seconds=43_200, page=50)


async def _start_runs(orders: Orders) -> None:
    from flowbuilder.client import FlowBuilder

    ledger = Ledger(Path(orders.ledger))

    async def own(context: Context, n: int) -> int:
        ledger.write("enter", context)
        await asyncio.sleep(0.1)
        ledger.write("exit", context)
        return n

    settings = Settings(database_url=SecretStr(orders.dsn), concurrency=orders.concurrency)
    registry = fault_registry(ledger, orders.effects_dsn)
    async with FlowBuilder.connect(settings=settings, registry=registry, worker=True) as builder:
        for number in itertools.count():
            run = await builder.execute_dynamic(
                WITH_FUNCTION, {"n": number}, functions={"own": own}, by="program"
            )
            _tell(orders, run.id)
            await asyncio.sleep(0.02)


def _tell(orders: Orders, run_id: str) -> None:
    with Path(orders.folder, f"{orders.name}.runs").open("a", encoding="utf-8") as told:
        told.write(f"{run_id}\n")


async def _work(orders: Orders) -> None:
    stop = asyncio.Event()

    def stop_or_exit() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop_or_exit)
    tools = fault_registry(Ledger(Path(orders.ledger)), orders.effects_dsn)
    registry = ToolRegistry([one for one in tools if one.name not in orders.without])
    settings = Settings(
        concurrency=orders.concurrency,
        lease=timedelta(seconds=orders.lease),
        poll_interval=timedelta(seconds=orders.poll),
        shutdown_grace=timedelta(seconds=orders.grace),
        max_claims=orders.max_claims,
    )
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await _open(orders))
        store: Store = Store(database)
        if orders.crash is not None:
            mark = Path(orders.folder, f"crash.{orders.crash}")
            store = DyingStore(database, at=orders.crash, mark=mark)
        notifications = await stack.enter_async_context(
            Notifications(database, poll_interval=settings.poll_interval)
        )
        worker = Worker(store, registry, settings, notifications=notifications, name=orders.name)
        await _join(stack, worker)
        await stop.wait()


async def _open(orders: Orders) -> Database:
    """Come up also while the server is away."""
    failures = 0
    while True:
        try:
            return await Database.open(
                orders.dsn, size=orders.pool_size, wait=orders.pool_wait, direct=orders.direct
            )
        except DatabaseUnavailable:
            failures += 1
            await asyncio.sleep(pause(min(failures, 3)))


async def _join(stack: AsyncExitStack, worker: Worker) -> None:
    failures = 0
    while True:
        try:
            await stack.enter_async_context(worker)
            return
        except DatabaseUnavailable:
            failures += 1
            await asyncio.sleep(pause(min(failures, 3)))
