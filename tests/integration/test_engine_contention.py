"""Every verb at once from many clients: no deadlock, no gap in the numbers, nothing left over."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest

from flowbuilder.errors import Conflict, InvalidTransition, StaleTask
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, retry, waiting
from tests.support.growing import grow
from tests.support.waiting import eventually

CLIENTS = 8
STEPS = 60 * int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))
#: What a client may meet when another was faster; anything else fails the test.
OVERTAKEN = (Conflict, InvalidTransition, StaleTask)

FLOW = flow_of(
    {"id": "a", "compensate": {"tool": "other"}},
    {"id": "b", "retry": {"max_attempts": 4}, "on_error": "skip", "compensate": {"tool": "other"}},
    {"id": "m", "for_each": "${{ input }}", "depends_on": ["a"], "on_error": "continue",
     "concurrency": 3},
    {"id": "n", "for_each": "${{ steps.m }}", "when": "true", "on_error": "continue"},
    {"id": "z", "depends_on": ["b", "n"], "trigger_rule": "all_done"},
    output="${{ steps.m }}",
)  # fmt: skip
GATE: JsonObject = {
    "kind": "approval",
    "approval_kind": "gate",
    "args": {},
    "args_hash": "x",
    "deadline_seconds": 600,
}


class Client:
    """One client: a worker of its own, and a person who pushes every button."""

    def __init__(self, database: Database, child: str, seed: int) -> None:
        self.engine = Engine(database)
        self.random = random.Random(seed)
        self.child = child
        self.held: list[LeasedTask] = []
        self.deeds: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (self.exchange, 12),
            (self.tick, 2),
            (self.start, 2),
            (self.decide, 2),
            (self.emit, 2),
            (self.progress, 2),
            (self.extend, 2),
            (self.pause, 1),
            (self.resume, 2),
            (self.cancel, 1),
            (self.leave, 1),
            (self.grow, 2),
            (self.hold, 1),
            (self.release, 1),
        ]

    async def work(self) -> None:
        await self.engine.join()
        deeds, weights = zip(*self.deeds, strict=True)
        for _ in range(STEPS):
            (deed,) = self.random.choices(deeds, weights)
            try:
                await deed()
            except OVERTAKEN:
                if deed == self.exchange:  # somebody buried this worker
                    self.held = []
                    await self.engine.join()

    def outcome(self, task: LeasedTask) -> Outcome:
        roll = self.random.random()
        if task.kind == "step" and not task.approved and roll < 0.3:
            if roll < 0.08:
                return waiting(task, **GATE)
            if roll < 0.12:
                return waiting(task, kind="run", version_id=self.child, flow="child", input=[1])
            if roll < 0.16:
                return waiting(task, kind="time", seconds=0)
            if roll < 0.2:
                return waiting(task, **self.event(), timeout_seconds=self.random.choice([0, 20]))
            return retry(task, delay=0.01) if roll < 0.26 else failed(task)
        if roll < 0.35:
            return task.outcome(OutcomeKind.RELEASED)
        return done(task, task.index)

    async def exchange(self) -> None:
        self.random.shuffle(self.held)
        cut = self.random.randint(0, len(self.held))
        report, keep = self.held[:cut], self.held[cut:]
        lease = self.random.choice([0.02, 30])
        answer = await self.engine.exchange(
            [self.outcome(task) for task in report], held=keep, free=4, lease=lease
        )
        self.held = [task for task in keep if task.key not in answer.lost] + answer.tasks

    async def extend(self) -> None:
        keys = [list(task.key) for task in self.held]
        await self.engine.database.execute(
            b"select flowbuilder.extend(%s::uuid, to_jsonb(%s::bigint[]), interval '30 s')",
            (self.engine.worker, keys),
        )

    async def tick(self) -> None:
        await self.engine.store.tick()

    async def start(self) -> None:
        await self.engine.start(FLOW, list(range(6)))

    async def decide(self) -> None:
        pending = await self.engine.store.approvals(limit=5)
        if pending:
            approval = self.random.choice(pending)
            await self.engine.store.decide(
                approval.id, approve=self.random.random() < 0.7, by="user:ada"
            )

    def event(self) -> JsonObject:
        return {"kind": "event", "name": "go", "key": str(self.random.randint(0, 3))}

    async def emit(self) -> None:
        keep = self.random.choice([0.01, 30])
        await self.engine.store.emit("go", str(self.event()["key"]), 0, keep_seconds=keep)

    async def progress(self) -> None:
        for task in self.held[:2]:
            await self.engine.store.progress(
                self.engine.worker, task.task_id, task.fence, {"fraction": 0.5}
            )

    async def _run(self) -> str:
        runs = [run for run in await self.engine.store.list_runs() if not run.status.terminal]
        return self.random.choice(runs).id if runs else await self.engine.start(FLOW, [1])

    async def pause(self) -> None:
        await self.engine.store.pause_run(await self._run())

    async def resume(self) -> None:
        await self.engine.store.resume_run(await self._run())

    async def cancel(self) -> None:
        await self.engine.store.cancel_run(await self._run())

    def step(self) -> JsonObject:
        return {"id": f"x{self.random.randrange(10**9)}"}

    async def grow(self) -> None:
        step = self.step()
        run = await self._run()
        if self.random.random() < 0.5 and (await self.engine.run(run)).flow != "child":
            step["depends_on"] = [self.random.choice("amz")]  # which all flows have
        await grow(self.engine, run, step)

    async def hold(self) -> None:
        owner = self.random.choice("xy")
        await self.engine.store.hold_run(await self._run(), owner=owner, seconds=100)

    async def release(self) -> None:
        error: JsonObject | None = {"code": "e"} if self.random.random() < 0.1 else None
        owner = self.random.choice("xy")
        await self.engine.store.release_hold(await self._run(), owner=owner, error=error)

    async def leave(self) -> None:
        """Be found dead by upkeep, or stop, with everything still in hand."""
        if self.random.random() < 0.5:
            await self.engine.store.stop_worker(self.engine.worker)
        else:
            await self.engine.database.execute(_DYING, (self.engine.worker,))
        self.held = []
        await self.engine.join()


@pytest.fixture
async def impatient(dsn: str) -> AsyncIterator[Database]:
    """A database that looks for deadlocks at once."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"alter database {name} set deadlock_timeout = '100ms'")
    async with await Database.open(dsn, size=CLIENTS) as opened:
        yield opened


async def test_every_verb_at_once_deadlocks_nobody(impatient: Database) -> None:
    seed = int(os.environ.get("FLOWBUILDER_TEST_SEED", "7"))
    engine = Engine(impatient)
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)
    for _ in range(4):
        await engine.start(FLOW, list(range(6)))
    clients = [Client(impatient, child.id, seed + number) for number in range(CLIENTS)]
    await asyncio.gather(*(client.work() for client in clients))
    for client in clients:
        await client.engine.store.stop_worker(client.engine.worker)
    await engine.consistent()
    await engine.finish_everything()
    for row in await engine.store.list_runs(limit=10_000):
        assert row.status.terminal, f"seed {seed}"
        await engine.trace(row.id)
    await engine.at_rest()


async def test_workers_that_die_together_lock_their_runs_in_order(
    impatient: Database,
) -> None:
    engine = Engine(impatient)
    runs = sorted([await engine.start(flow_of({"id": "a"})) for _ in range(2)])
    workers = sorted([str(uuid.uuid4()) for _ in range(2)], reverse=True)
    # The worker that is found first holds a task of the run that is to be locked last.
    for run, worker in zip(runs, workers, strict=True):
        await engine.join(worker=worker)
        await engine.database.execute(
            b"update pgmq.q_flowbuilder_tasks q set vt = now() - '1 s'::interval + case "
            b"when t.run_id = %s::uuid then '0 s'::interval else '1 hour' end "
            b"from flowbuilder.tasks t where t.message_id = q.msg_id and t.status = 'queued'",
            (run,),
        )
        assert [task.run_id for task in (await engine.exchange(free=1)).tasks] == [run]
        await engine.database.execute(_DYING, (worker,))
    async with engine.database.transaction() as other:
        await other.execute(_LOCK_RUN, (runs[0],))
        upkeep = asyncio.create_task(engine.store.tick())
        await eventually(engine.somebody_waits)
        # Upkeep waits for the first run; had it the second already, this would be a deadlock.
        await other.execute(_LOCK_RUN, (runs[1],))
    await upkeep
    await engine.finish_everything()
    await engine.at_rest()


_DYING = b"""
update flowbuilder.workers set lock_seen = true, suspect_at = now() - '9 s'::interval
where id = %s::uuid"""
_LOCK_RUN = b"select id from flowbuilder.runs where id = %s::uuid for update nowait"
