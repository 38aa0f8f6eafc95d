"""Helpers of the tests about limits: set one, take tasks without a word, and recount the places."""

from __future__ import annotations

from collections.abc import Sequence

from flowbuilder.executor.records import Exchange, LeasedTask, Outcome
from flowbuilder.limits import Rate
from flowbuilder.types import JsonObject
from tests.support.engine import Engine

TOOLS = ("work", "other", "http.get", "http.post", "mail.send")

_RECOUNT = b"""
select (select count(*) from flowbuilder.slot_uses u where not exists (
            select from flowbuilder.tasks t
            where t.id = u.task_id and t.fence = u.fence and t.status = 'running')) as stale,
       (select count(*) from flowbuilder.tasks t
        where t.status = 'running' and t.kind in ('step', 'compensate')
          and (select count(*) from flowbuilder.slot_uses u
               where u.task_id = t.id and u.fence = t.fence)
              <> (select count(*) from flowbuilder.slot_demands(array[t.id]))) as uncounted,
       (select count(*) from flowbuilder.limit_slots s where s.concurrency < (
            select count(*) from flowbuilder.slot_uses u
            join flowbuilder.tasks t
              on t.id = u.task_id and t.fence = u.fence and t.status = 'running'
            where u.slot_id = s.id)) as over
"""


SEEN = b"update flowbuilder.workers set last_seen_at = flowbuilder.now()"


async def limit(
    engine: Engine, pattern: str, *, concurrency: int | None = None, rate: str | None = None
) -> None:
    found = None if rate is None else Rate.read(rate)
    await engine.store.set_limit(pattern, concurrency=concurrency, rate=found)


async def exchange(
    engine: Engine, outcomes: Sequence[Outcome] = (), *, free: int = 10, worker: str | None = None
) -> Exchange:
    """Make an exchange without a word about what is held, so that nothing comes twice."""
    return await engine.store.exchange(
        worker or engine.worker, held=None, outcomes=outcomes, free=free, lease_seconds=30
    )


async def take(
    engine: Engine, outcomes: Sequence[Outcome] = (), *, free: int = 10
) -> list[LeasedTask]:
    return (await exchange(engine, outcomes, free=free)).tasks


async def recount(engine: Engine, *, swept: bool = True) -> None:
    """Assert that places taken are exactly the tasks that run, and nowhere too many."""
    if swept:
        await engine.store.tick()
    row = await engine.database.fetch_one(_RECOUNT)
    assert row == {"stale": 0, "uncounted": 0, "over": 0}


def many(count: int, tool: str = "work", **policies: object) -> JsonObject:
    return {"id": "m", "tool": tool, "for_each": list(range(count)), **policies}  # type: ignore[dict-item]
