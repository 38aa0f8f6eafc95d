"""One test's world: a fresh database, workers and proxies to break, and what to check after."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import RunRow
from flowbuilder.executor.store import Store
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonValue
from tests.faults.harness.invariants import AUDIT, assert_invariants, assert_nobody_left
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.nursery import Nursery
from tests.faults.harness.proxy import Proxy
from tests.faults.harness.server import FaultServer, is_alive, through
from tests.faults.harness.tools import EFFECTS, fault_registry
from tests.faults.harness.watchdog import dump
from tests.faults.harness.worker_process import Orders
from tests.support.engine import Engine
from tests.support.waiting import eventually

T = TypeVar("T")

#: Long forms are asked for by `make faults`.
LONG = os.environ.get("FLOWBUILDER_TEST_FAULTS") == "long"
#: All rows of a run, and the transaction that wrote each: nothing is written without a trace.
_ROWS = b"""
select r.xmin::text as written_by, to_json(r)::text as row from flowbuilder.runs r
where r.id = %(run)s::uuid
union all select s.xmin::text, to_json(s)::text from flowbuilder.run_steps s
where s.run_id = %(run)s::uuid
union all select t.xmin::text, to_json(t)::text from flowbuilder.tasks t
where t.run_id = %(run)s::uuid
union all select e.xmin::text, to_json(e)::text from flowbuilder.events e
where e.stream = %(run)s::uuid
order by 2
"""
_UNFINISHED = b"select 1 from flowbuilder.runs where finished_at is null limit 1"


def sized(short: int, long: int) -> int:
    """Return one of two sizes."""
    return long if LONG else short


class Worker:
    """A worker process of the arena."""

    def __init__(self, arena: Arena, orders: Orders, pid: int) -> None:
        self.arena = arena
        self.orders = orders
        self.pid = pid

    @property
    def alive(self) -> bool:
        return is_alive(self.pid)

    def kill(self) -> None:
        """kill -9, and take note of the moment."""
        assert self.alive, f"{self.orders.name} was gone before it was killed"
        self.arena.kills[self.pid] = time.monotonic()
        os.kill(self.pid, signal.SIGKILL)
        self.arena.fired("kill -9")

    def freeze(self) -> None:
        """Stop the process where it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        self.arena.fired("SIGSTOP")

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to stop."""
        os.kill(self.pid, signal.SIGTERM)

    async def gone(self, seconds: float = 40) -> None:
        """Return when the process has ended."""
        await eventually(
            lambda: not self.alive, seconds=seconds, what=f"{self.orders.name} does not end"
        )


class Arena:
    """A database on the server of the fault tests, with everybody who works on it."""

    def __init__(
        self, server: FaultServer, nursery: Nursery, folder: Path, *, seed: int, empty: bool = False
    ) -> None:
        self.server = server
        self.nursery = nursery
        self.folder = folder
        self.seed = seed
        self.dice = random.Random(seed)
        self.dsn = server.empty_database() if empty else server.fresh_database()
        self.ledger = Ledger(folder / "ledger")
        self.registry = fault_registry(self.ledger)
        self.workers: list[Worker] = []
        self.acknowledged: list[str] = []
        """Runs whose start was confirmed."""
        self.kills: dict[int, float] = {}
        self.faults: Counter[str] = Counter()
        """What really happened."""
        self.figures: dict[str, object] = {}
        self._stack = AsyncExitStack()
        self.database: Database
        self.store: Store
        self.engine: Engine

    async def open(self, *, audited: bool = True) -> None:
        """Connect; the database takes note of whoever leaves a terminal state."""
        if audited:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                connection.execute(AUDIT.encode())
                connection.execute(EFFECTS)
        await self.connect()

    async def connect(self) -> None:
        """Open a pool of the test's own, a new one at each call."""
        self.database = await self._stack.enter_async_context(
            await Database.open(self.dsn, application_name="faults", size=4, wait=5)
        )
        self.store = Store(self.database)
        self.engine = Engine(self.database, self.registry)

    async def close(self) -> None:
        """End everybody by force and drop the database."""
        for worker in self.workers:
            if worker.alive:
                os.kill(worker.pid, signal.SIGKILL)
        for worker in self.workers:
            await worker.gone()
        await self._stack.aclose()
        self.server.drop(self.dsn)

    # -- who takes part -----------------------------------------------------------------------

    def worker(self, *, proxy: Proxy | None = None, **settings: Any) -> Worker:
        """Start a worker process, behind a proxy when one is given."""
        dsn = settings.pop("dsn", self.dsn)
        orders = Orders(
            name=f"w{len(self.workers)}",
            dsn=dsn if proxy is None else through(dsn, proxy.port),
            effects_dsn=self.dsn,
            ledger=str(self.ledger.path),
            folder=str(self.folder),
            **settings,
        )
        worker = Worker(self, orders, self.nursery.spawn(orders))
        self.workers.append(worker)
        return worker

    async def proxy(self) -> Proxy:
        """Return a proxy in front of the server, until the end of the test."""
        return await self._stack.enter_async_context(Proxy(self.server.port))

    async def joined(self, *workers: Worker) -> None:
        """Return when these workers are known as alive and their locks have been seen."""
        pids = {worker.pid for worker in workers}

        async def known() -> bool:
            rows = await self.database.fetch_all(
                b"select pid from flowbuilder.workers where status = 'live' and lock_seen"
            )
            return pids <= {row["pid"] for row in rows}

        await self.hold(lambda: self.persistently(known), what="the workers do not come up")

    # -- runs -----------------------------------------------------------------------------------

    async def start(
        self, flow: Flow, input: JsonValue = None, *, key: str | None = None, timeout: float = 3600
    ) -> str:
        """Start a run, also through outages; its id is remembered as acknowledged."""
        once = key or f"run {len(self.acknowledged)}"

        async def attempt() -> str:
            version = await self.store.register_version(flow, self.registry)
            run, _ = await self.store.start_run(
                version.id, input, timeout_seconds=timeout, idempotency_key=once
            )
            return run.id

        run_id = await self.persistently(attempt)
        self.acknowledged.append(run_id)
        return run_id

    async def ended(self, *, seconds: float = 60) -> list[RunRow]:
        """Return every acknowledged run once all have ended; else dump the state and fail."""

        async def over() -> bool:
            await asyncio.sleep(0.02)  # the server has better things to do
            return not await self.persistently(lambda: self.database.fetch_all(_UNFINISHED))

        await self.hold(over, seconds=seconds, what="runs do not end")

        async def read(run_id: str) -> RunRow:
            return await self.persistently(lambda: self.store.get_run(run_id))

        return [await read(run_id) for run_id in self.acknowledged]

    async def outputs(self, *, seconds: float = 60) -> list[JsonValue]:
        """Return the outputs of all runs, which must have completed."""
        runs = await self.ended(seconds=seconds)
        wrong = [(run.id, run.status.value, run.error) for run in runs if run.error is not None]
        assert not wrong, f"{len(wrong)} runs failed: {wrong[:3]}"
        return [run.output for run in runs]

    async def hold(
        self, condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 60, what: str
    ) -> None:
        """Wait for a condition under the watchdog."""
        try:
            await eventually(condition, seconds=seconds, what=what)
        except AssertionError as error:
            state = await self.state()
            text = state.read_text(encoding="utf-8")[:6000]
            raise AssertionError(f"{error}; seed {self.seed}; {state}:\n{text}") from None

    async def rows(self, run_id: str) -> list[dict[str, Any]]:
        """Return all rows of a run; equal ones at two times: nobody wrote in between."""
        return await self.database.fetch_all(_ROWS, {"run": run_id})

    async def state(self) -> Path:
        """Write down where everybody stands; returns the file."""
        alive = [worker.pid for worker in self.workers if worker.alive]
        return await dump(self.dsn, self.folder, alive)

    async def persistently(self, call: Callable[[], Awaitable[T]], *, seconds: float = 150) -> T:
        """Call until the database answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return await call()
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.02)

    # -- afterwards -----------------------------------------------------------------------------

    def fired(self, fault: str, times: int = 1) -> None:
        """Take note that a fault really happened; fails when it did not."""
        assert times > 0, f"the fault never happened: {fault}"
        self.faults[fault] += times

    def figure(self, **values: object) -> None:
        """Keep figures for the summary."""
        self.figures |= values

    async def check(self, *, seconds: float = 60) -> None:
        """Let all runs end, stop the workers in good order, and assert the invariants.

        A test in which no fault has happened fails.
        """
        assert self.faults, "no fault has happened"
        await self.ended(seconds=seconds)
        for worker in self.workers:
            if worker.alive:
                worker.terminate()
        for worker in self.workers:
            await worker.gone()
        while (await self.persistently(self.store.tick)).touched:
            pass
        await self.database.execute(b"analyze")  # what is asked next looks at everything
        await assert_invariants(self.database, self.ledger, self.acknowledged)
        await eventually(self._nobody_left, seconds=10, what="sessions or locks are left over")

    async def _nobody_left(self) -> bool:
        try:
            await assert_nobody_left(self.dsn)
        except AssertionError:
            return False
        return True

    def assert_extra_entries(self, *, at_most: int) -> int:
        """Assert how often handlers began beyond once per task (E3); returns the number."""
        entries = self.ledger.entries()
        times = Counter(entry.unit for entry in entries)
        extra = times.total() - len(times)
        again = [one for one in self.ledger.read() if times[one.unit] > 1] if extra else []
        assert extra <= at_most, f"{extra} began again, at most {at_most} had cause: {again}"
        return extra


def fan(width: int, *, ms: float = 10, tool: str = "fault.work", **more: JsonValue) -> Flow:
    """Return a flow of one map and a join behind it; its output is the list that went in."""
    each: JsonObject = {
        "id": "each",
        "tool": tool,
        "for_each": list(range(width)),
        "args": {"value": "${{ item }}", "ms": ms},
        **more,
    }
    join: JsonObject = {
        "id": "join",
        "tool": "fault.work",
        "args": {"value": "${{ steps.each }}"},
    }
    return flow("fan", [each, join], output="${{ steps.join }}")


def chain(length: int, *, ms: float = 5) -> Flow:
    """Return a flow of steps that pass a number on."""
    steps: list[JsonObject] = [
        {
            "id": f"s{number}",
            "tool": "fault.work",
            "args": {"value": f"${{{{ steps.s{number - 1} }}}}" if number else "${{ input }}",
                     "ms": ms},
        }
        for number in range(length)
    ]  # fmt: skip
    return flow("chain", steps, output=f"${{{{ steps.s{length - 1} }}}}")


def flow(slug: str, steps: Sequence[JsonObject], **more: JsonValue) -> Flow:
    """Return a flow document."""
    return Flow.model_validate({"flow": slug, "steps": list(steps), **more})
