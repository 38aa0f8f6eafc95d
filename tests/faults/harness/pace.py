"""A steady stream of small runs, and what became of it by the database's clock."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass

from flowbuilder.flow import Flow
from flowbuilder.types import JsonValue
from tests.faults.harness.arena import Arena

#: Of the runs, so many are looked at event by event afterwards.
_SAMPLE = 200
_BATCHES_PER_SECOND = 10
_WINDOW = b"""
select count(*) as runs,
    coalesce(percentile_cont(0.99) within group (
        order by extract(epoch from finished_at - created_at)
    ) filter (where created_at > flowbuilder.now() - make_interval(secs => %s)), 0)::float8 as p99
from flowbuilder.runs
where finished_at > flowbuilder.now() - make_interval(secs => %s) and status = 'completed'
"""
_DEAD = b"""
select coalesce(sum(n_dead_tup), 0)::bigint as dead, coalesce(sum(n_live_tup), 0)::bigint as live
from pg_stat_user_tables where schemaname in ('flowbuilder', 'pgmq')
"""


def minutes(default: float) -> float:
    """Return how long a long form takes; `FLOWBUILDER_TEST_MINUTES` says otherwise."""
    return float(os.environ.get("FLOWBUILDER_TEST_MINUTES", default))


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A stretch of time under load."""

    rate: float
    """Runs completed in a second, at most as many as were started: what was left over from before
    does not count."""
    p99: float
    """Seconds from start to end, of those that began in it, too."""
    dead: int
    """Dead rows of all tables, as far as the server knows."""


class Pace:
    """Starts runs of one version at a steady rate, and measures stretches of time."""

    def __init__(self, arena: Arena, version_id: str, *, rate: int) -> None:
        self._arena = arena
        self._version = version_id
        self._batch = max(rate // _BATCHES_PER_SECOND, 1)
        self.started = 0

    @classmethod
    async def of(cls, arena: Arena, flow: Flow, *, rate: int) -> Pace:
        """Make a version of a flow to start runs of."""
        version = await arena.store.register_version(flow, arena.registry)
        return cls(arena, version.id, rate=rate)

    async def keep(self, seconds: float) -> Stretch:
        """Start runs for so long; what is measured leaves the first fifth out."""
        began = time.monotonic()
        for number in range(int(seconds * _BATCHES_PER_SECOND)):
            await asyncio.sleep(began + number / _BATCHES_PER_SECOND - time.monotonic())
            await self._start()
        return await self._measure(seconds * 0.8)

    async def _start(self) -> None:
        inputs: list[JsonValue] = [None] * self._batch
        given = await self._arena.store.start_runs(self._version, inputs, timeout_seconds=3600)
        self.started += len(given.runs)
        ids = [run_id for run_id, _ in given.runs]
        if len(self._arena.acknowledged) < _SAMPLE:
            self._arena.acknowledged += ids
        else:
            self._arena.acknowledged[self._arena.dice.randrange(_SAMPLE)] = ids[0]

    async def _measure(self, seconds: float) -> Stretch:
        row = await self._arena.database.fetch_one(_WINDOW, (seconds, seconds))
        dead = await self._arena.database.fetch_one(_DEAD)
        assert row is not None and dead is not None
        rate = min(row["runs"] / seconds, self._batch * _BATCHES_PER_SECOND)
        return Stretch(rate=rate, p99=row["p99"], dead=dead["dead"])


async def assert_all_completed(arena: Arena, count: int) -> None:
    """Assert that so many runs have completed, and no fewer."""
    row = await arena.database.fetch_one(
        b"select count(*) as n from flowbuilder.runs where status = 'completed'"
    )
    assert row == {"n": count}
