"""Ticks of schedules among workers that are killed and frozen, and schedulers cut off midway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from flowbuilder.client import FlowBuilder
from flowbuilder.executor.database import Database
from flowbuilder.executor.scheduler import Scheduler
from flowbuilder.executor.store import Store
from flowbuilder.settings import Settings
from tests.faults.harness.arena import Arena, sized
from tests.faults.harness.proxy import Action, Rule
from tests.faults.harness.server import through
from tests.support.triggering import begin_minute, jump
from tests.support.waiting import eventually

MINUTE = timedelta(minutes=1)
_WORK: dict[str, Any] = {
    "flow": "ticking",
    "input": {"type": "object", "properties": {"tick": {"type": "string"}}},
    "steps": [{"id": "work", "tool": "fault.work", "args": {"value": "${{ input.tick }}"}}],
    "output": "${{ steps.work }}",
}
#: Sessions that stand before the last statement of a fire: the runs are made, the record is not.
_STUCK = b"""
    select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
      and wait_event_type = 'Lock' and query like '%%fire_schedule%%'"""


@pytest.fixture
async def builder(arena: Arena) -> AsyncIterator[FlowBuilder]:
    """The client library over the arena's database, with a published flow."""
    settings = Settings(database_url=arena.dsn, auth="local")
    opened = FlowBuilder.connect(settings=settings, registry=arena.registry, worker=False)
    async with opened as fb:
        await fb.save_flow(_WORK)
        await fb.publish("ticking")
        yield fb


async def add(builder: FlowBuilder, **more: Any) -> None:
    await begin_minute(builder.store.database)
    await builder.schedules.add(
        "ticking", flow="ticking", cron="* * * * *", input={"tick": "${{ run.tick }}"}, **more
    )


async def ticks(arena: Arena) -> list[Any]:
    """The ticks that have started a run, in order; the runs count as acknowledged."""
    rows = await arena.database.fetch_all(
        b"select t.tick_at, t.run_id::text as run_id, r.input ->> 'tick' as given"
        b" from flowbuilder.run_triggers t join flowbuilder.runs r on r.id = t.run_id"
        b" order by t.tick_at"
    )
    known = set(arena.acknowledged)
    arena.acknowledged += [row["run_id"] for row in rows if row["run_id"] not in known]
    assert [row["given"] for row in rows] == [
        row["tick_at"].isoformat().replace("+00:00", "Z") for row in rows
    ]
    return [row["tick_at"] for row in rows]


async def test_f52_every_tick_starts_one_run_whoever_is_frozen_or_killed(
    arena: Arena, builder: FlowBuilder
) -> None:
    """F52: four workers fire a schedule of every minute; one is frozen and one killed at ticks."""
    await add(builder, missed="all", missed_limit=100)
    workers = [arena.worker(poll=0.05, lease=600.0) for _ in range(4)]
    await arena.joined(*workers)
    rounds = sized(12, 120)
    for number in range(1, rounds + 1):
        await jump(arena.database, 60)
        if number == rounds // 4:
            workers[0].freeze()
        if number == rounds // 2:
            workers[1].kill()
        if number == 3 * rounds // 4:
            workers[0].thaw()

        async def fired(wanted: int = number) -> bool:
            await asyncio.sleep(0.01)
            return len(await ticks(arena)) >= wanted

        await arena.hold(fired, what=f"tick {number} starts no run")
    found = await ticks(arena)
    assert found == [found[0] + number * MINUTE for number in range(len(found))]
    assert rounds <= len(found) <= rounds + 1  # a minute of the machine's own may pass
    await builder.schedules.pause("ticking")
    await ticks(arena)
    await builder.close()
    await arena.check()


async def test_f52_cut_off_between_fire_and_record_nothing_has_happened(
    arena: Arena, builder: FlowBuilder
) -> None:
    """F52: the scheduler's connection dies when the runs are made and not yet written down."""
    await add(builder, missed="all")
    before = await builder.schedules.get("ticking")
    await jump(arena.database, 61)
    for _ in range(sized(2, 20)):
        async with arena.database.transaction() as blocker:
            await blocker.execute("lock table flowbuilder.run_triggers in exclusive mode")
            leader = asyncio.create_task(Scheduler(builder.store, builder.settings).round())

            async def stuck() -> bool:
                return bool(await arena.database.fetch_all(_STUCK))

            await eventually(stuck)
            # others do not wait for it, and do nothing about what it has in hand
            [due] = await arena.store.due_schedules()
            assert await Scheduler(arena.store, builder.settings).fire(due) is None
            cut = await arena.database.fetch_all(
                b"select pg_terminate_backend(s.pid) as done from (" + _STUCK + b") s"
            )
            arena.fired("backend terminated", len(cut))
        assert await leader == []
        assert await arena.database.fetch_all(b"select id from flowbuilder.runs") == []
        assert await builder.schedules.get("ticking") == before
    fired = await asyncio.gather(
        *(Scheduler(arena.store, builder.settings).round() for _ in range(4))
    )
    assert len([run for runs in fired for run in runs]) == len(await ticks(arena)) >= 1
    arena.worker()
    await builder.close()
    await arena.check()


async def test_f52_a_leader_that_was_frozen_with_what_it_has_read_does_nothing(
    arena: Arena, builder: FlowBuilder
) -> None:
    """F52: a scheduler reads what is due, stands still, and goes on after others have fired."""
    await add(builder)
    await jump(arena.database, 61)
    frozen = Scheduler(builder.store, builder.settings)
    [due] = await builder.store.due_schedules()
    arena.fired("held up")
    for _ in range(3):
        others = await Scheduler(arena.store, builder.settings).round()
        assert await frozen.fire(due) is None
        assert len(others) <= 1
        await jump(arena.database, 60)
    found = await ticks(arena)
    assert len(found) == len(set(found)) == 3
    arena.worker()
    await builder.close()
    await arena.check()


@pytest.mark.parametrize("action", ["swallow_reply", "cut_before"])
async def test_f52_a_lost_answer_is_no_second_run(
    arena: Arena, builder: FlowBuilder, action: Action
) -> None:
    """F52: the fire was committed, but its scheduler never heard so; or it never arrived."""
    await add(builder, missed="all")
    await jump(arena.database, 61)
    proxy = await arena.proxy()
    rule = Rule(b"fire_schedule", action)
    proxy.rules.append(rule)
    async with await Database.open(through(arena.dsn, proxy.port), size=2) as behind:
        there = Store(behind)
        assert await Scheduler(there, builder.settings).round() == []
        arena.fired(action, rule.fired)
        again = await Scheduler(there, builder.settings).round()
    assert len(again) == (0 if action == "swallow_reply" else 1)
    found = await ticks(arena)
    assert len(found) == 1
    arena.worker()
    await builder.close()
    await arena.check()
