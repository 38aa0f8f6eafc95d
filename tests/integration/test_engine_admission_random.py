"""Random limits, starts, cancels and lost workers: no bound is exceeded, and every run ends."""

from __future__ import annotations

import os
import random

import pytest

from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.terms import Terms
from flowbuilder.flow import Flow
from flowbuilder.limits import Priority, Rate
from tests.support.engine import Engine, done, failed, flow_of, retry
from tests.support.limiting import SEEN

ROUNDS = int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))
SEED = os.environ.get("FLOWBUILDER_TEST_SEED")
SEEDS = [int(SEED)] if SEED else list(range(4 * ROUNDS))

FLOWS: list[Flow] = [
    flow_of({"id": "a"}, slug="short"),
    flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}, slug="chain"),
    flow_of({"id": "m", "for_each": [0, 0, 0]}, slug="wide"),
    flow_of({"id": "m", "for_each": []}, slug="empty"),
]
#: Counted from the runs themselves: open, nobody's child, and with a task.
_UNDER_WAY = b"""
select r.flow, count(*) as n from flowbuilder.runs r
where r.finished_at is null and r.parent_run_id is null and exists (
    select from flowbuilder.tasks t where t.run_id = r.id)
group by r.flow"""
_ODD = b"""
select (select count(*) from flowbuilder.admissions a join flowbuilder.runs r on r.id = a.run_id
        where r.finished_at is not null) as ended,
       (select count(*) from flowbuilder.admissions a
        join flowbuilder.tasks t on t.run_id = a.run_id where a.state <> 'admitted') as begun,
       (select count(*) from flowbuilder.admissions a join flowbuilder.runs r on r.id = a.run_id
        where a.state <> case r.status when 'queued' then 'waiting' else r.status end
          and a.state <> 'admitted') as amiss"""


class Play:
    """One random history, with a model of what every limit allows."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.chance = random.Random(seed)
        self.held: list[LeasedTask] = []
        self.runs: list[str] = []
        self.bounds: dict[str, int] = {}
        """By flow ("" for all): what may be under way at most, also after a bound was lowered."""

    async def step(self) -> None:
        """Do one thing."""
        await self.chance.choice(
            [self.start, self.start, self.work, self.work, self.work, self.limit, self.steer,
             self.lose, self.pass_time, self.retry]
        )()  # fmt: skip
        await self.judge()

    async def start(self) -> None:
        flow = self.chance.choice(FLOWS)
        version = await self.engine.store.register_version(flow, self.engine.registry)
        started = await self.engine.store.start_runs(
            version.id,
            [None] * self.chance.randint(1, 4),
            timeout_seconds=100_000,
            terms=Terms(priority=self.chance.choice(list(Priority))),
        )
        self.runs += [run for run, _ in started.runs]

    async def work(self) -> None:
        self.chance.shuffle(self.held)
        count = self.chance.randint(0, len(self.held))
        reported, kept = self.held[:count], self.held[count:]
        answer = await self.engine.store.exchange(
            self.engine.worker,
            held=None,
            outcomes=[self.outcome(task) for task in reported],
            free=self.chance.randint(0, 6),
            lease_seconds=100_000,
        )
        self.held = kept + answer.tasks

    def outcome(self, task: LeasedTask) -> Outcome:
        if self.chance.random() < 0.1:
            return failed(task)
        return retry(task) if self.chance.random() < 0.1 else done(task, 0)

    async def limit(self) -> None:
        flow = self.chance.choice([None, None, *[one.slug for one in FLOWS]])
        if self.chance.random() < 0.2:
            await self.engine.store.clear_admission(flow)
            self.bounds.pop(flow or "", None)
            return
        most = self.chance.choice([None, 1, 2, 3, 5])
        rate = self.chance.choice(["1/10s", "3/1m", "10/s"])
        often = Rate.read(rate) if most is None or self.chance.random() < 0.3 else None
        under_way = await self.under_way()
        await self.engine.store.set_admission(flow, concurrency=most, rate=often)
        self.bounds.pop(flow or "", None)
        if most is not None:  # what is under way goes on
            self.bounds[flow or ""] = max(most, under_way.get(flow or "", 0))

    async def steer(self) -> None:
        rows = [row for row in await self.engine.store.list_runs(limit=500)
                if not row.status.terminal]  # fmt: skip
        if not rows:
            return
        row = self.chance.choice(rows)
        if row.status.value == "paused":
            await self.engine.store.resume_run(row.id)
        elif self.chance.random() < 0.5:
            await self.engine.store.pause_run(row.id)
        else:
            await self.engine.store.cancel_run(row.id)
            self.held = [task for task in self.held if task.run_id != row.id]

    async def retry(self) -> None:
        rows = await self.engine.store.list_runs(limit=500)
        ended = [row.id for row in rows if row.status.value in ("failed", "cancelled")]
        if ended:
            answer = await self.engine.store.retry_run(self.chance.choice(ended))
            assert answer.run_id is not None
            self.runs.append(answer.run_id)

    async def lose(self) -> None:
        """Kill the worker: what it held runs again elsewhere."""
        await self.engine.store.stop_worker(self.engine.worker)
        self.held = []
        await self.engine.join()

    async def pass_time(self) -> None:
        await self.engine.jump(self.chance.choice([0.5, 5, 40]))
        await self.engine.database.execute(SEEN)
        await self.engine.store.tick()

    async def under_way(self) -> dict[str, int]:
        rows = await self.engine.database.fetch_all(_UNDER_WAY)
        found = {row["flow"]: row["n"] for row in rows}
        return {**found, "": sum(found.values())}

    async def judge(self) -> None:
        """Compare what is under way with what may be; a bound that was too low comes down again."""
        under_way = await self.under_way()
        for flow, most in self.bounds.items():
            assert under_way.get(flow, 0) <= most, (flow, most, under_way)
        limits = {row.flow or "": row.concurrency for row in await self.engine.store.admissions()}
        for flow in self.bounds:
            wanted = limits[flow]
            assert wanted is not None
            self.bounds[flow] = max(wanted, under_way.get(flow, 0))
        assert await self.engine.database.fetch_one(_ODD) == {"ended": 0, "begun": 0, "amiss": 0}


@pytest.mark.parametrize("seed", SEEDS)
async def test_bounds_hold_and_every_run_ends(engine: Engine, seed: int) -> None:
    play = Play(engine, seed)
    await play.limit()
    for _ in range(80):
        await play.step()
    await engine.finish_everything()
    for run in play.runs:
        assert (await engine.run(run)).status.terminal
        await engine.trace(run)
    while (await engine.store.tick()).touched:
        pass
    assert await engine.database.fetch_all(b"select run_id from flowbuilder.admissions") == []
    await engine.at_rest()
