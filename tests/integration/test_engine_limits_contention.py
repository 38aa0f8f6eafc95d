"""Every verb at once under limits that change: no deadlock, no place lost, never too many."""

from __future__ import annotations

import asyncio
import os

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.terms import Terms
from flowbuilder.limits import Priority, Rate
from flowbuilder.types import JsonObject, JsonValue
from tests.integration.test_engine_contention import CLIENTS, FLOW, Client, impatient
from tests.support.engine import Engine, flow_of

__all__ = ["impatient"]

LIMITED = flow_of(
    {"id": "a", "limit": {"key": "${{ input[0] }}", "concurrency": 1},
     "compensate": {"tool": "other"}},
    {"id": "m", "for_each": "${{ input }}", "depends_on": ["a"], "on_error": "continue",
     "limit": {"key": "${{ item }}", "concurrency": 2, "rate": "100/1s"}},
    {"id": "z", "tool": "other", "depends_on": ["m"], "trigger_rule": "all_done"},
    slug="limited",
)  # fmt: skip
_BOUND = 6
_OVER = b"""
select max(c.n) as most from (
    select count(*) as n from flowbuilder.slot_uses u
    join flowbuilder.tasks t on t.id = u.task_id and t.fence = u.fence and t.status = 'running'
    join flowbuilder.limit_slots s on s.id = u.slot_id and s.name = 'other'
    group by u.slot_id) c"""
_LEFT = b"""
select (select count(*) from flowbuilder.slot_uses) as uses,
       (select count(*) from flowbuilder.slot_news) as news,
       (select count(*) from flowbuilder.limit_slots where waiting) as waiting,
       (select count(*) from flowbuilder.tasks t
        where t.blocked_by is not null) as blocked
"""


class Limiter(Client):
    """A client that starts limited runs and changes the limits of others."""

    def __init__(self, database: Database, child: str, seed: int) -> None:
        super().__init__(database, child, seed)
        self.most = 0
        self.deeds += [(self.limit, 1), (self.clear, 1), (self.look, 2)]

    async def start(self) -> None:
        flow = self.random.choice([FLOW, LIMITED])
        terms = Terms(priority=self.random.choice(list(Priority)))
        numbers: list[JsonValue] = [self.random.randint(0, 2) for _ in range(6)]
        await self.engine.start(flow, numbers, terms=terms)

    def step(self) -> JsonObject:
        limits: list[JsonObject] = [{"limit": {"concurrency": 1}}, {"tool": "other"}, {}]
        return {**super().step(), **self.random.choice(limits)}

    async def limit(self) -> None:
        rate = self.random.choice([None, Rate(count=50, per="200ms")])
        await self.engine.store.set_limit(
            self.random.choice(["work", "*"]), concurrency=self.random.randint(1, 9), rate=rate
        )

    async def clear(self) -> None:
        await self.engine.store.clear_limit(self.random.choice(["work", "*"]))

    async def look(self) -> None:
        row = await self.engine.database.fetch_one(_OVER)
        assert row is not None
        self.most = max(self.most, row["most"] or 0)


@pytest.mark.parametrize("seed", range(int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))))
async def test_every_verb_at_once_under_limits(impatient: Database, seed: int) -> None:
    engine = Engine(impatient)
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)
    await engine.store.set_limit("other", concurrency=_BOUND, rate=None)
    await engine.store.set_limit("work", concurrency=5, rate=None)
    for _ in range(4):
        await engine.start(LIMITED, [1, 2, 3])
    clients = [Limiter(impatient, child.id, 100 * seed + number) for number in range(CLIENTS)]
    await asyncio.gather(*(client.work() for client in clients))
    assert max(client.most for client in clients) <= _BOUND
    for client in clients:
        await client.engine.store.stop_worker(client.engine.worker)
    await engine.consistent()
    await engine.finish_everything(rounds=2000)
    for row in await engine.store.list_runs(limit=10_000):
        assert row.status.terminal, f"seed {seed}"
        await engine.trace(row.id)
    await engine.at_rest()
    await engine.jump(60)
    await engine.store.tick()
    assert await engine.database.fetch_one(_LEFT) == {
        "uses": 0, "news": 0, "waiting": 0, "blocked": 0,
    }  # fmt: skip
