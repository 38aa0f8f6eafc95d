"""Transactional tools under faults: each effect is there exactly once, as its task is completed."""

from __future__ import annotations

import asyncio

from flowbuilder.types import JsonObject
from tests.faults.harness.arena import Arena, fan, sized
from tests.faults.harness.proxy import Action, Rule

TRANSACTION = "flowbuilder transaction"
#: A broken connection costs a try.
PATIENT: JsonObject = {"max_attempts": 50, "base_delay": 0, "max_delay": 0}


async def _assert_effects(arena: Arena, count: int) -> None:
    """Assert that there is one effect for each completed task of the map, and no other."""
    rows = await arena.database.fetch_all(
        b"select t.id, t.status, count(e.key) as effects from flowbuilder.tasks t "
        b"left join public.effects e on e.key = t.run_id || ':each:' || t.element "
        b"where t.step_id = 'each' group by t.id"
    )
    assert len(rows) == count
    assert {(row["status"], row["effects"]) for row in rows} == {("completed", 1)}
    total = await arena.database.fetch_all(b"select count(*) as n from public.effects")
    assert total == [{"n": count}]


async def test_f5_workers_are_killed_around_their_commits(arena: Arena) -> None:
    """F5: kill -9 at random moments while transactional steps begin, write and commit."""
    width, kills = sized(120, 2000), sized(6, 60)
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    run_id = await arena.start(fan(width, tool="fault.within", ms=sized(20, 40)))
    for number in range(kills):
        mark = arena.ledger.count()
        run = await arena.store.get_run(run_id)
        assert run.error is None, run.error
        await arena.hold(lambda: arena.ledger.count() >= min(mark + 3, width), what="no progress")  # noqa: B023
        await asyncio.sleep(arena.dice.uniform(0, 0.03))
        victim = workers.pop(0)
        victim.kill()
        workers.append(arena.worker())
        if number % 2:
            await arena.joined(workers[-1])
    await arena.outputs(seconds=sized(90, 300))
    await arena.check()
    await _assert_effects(arena, width)
    interrupted = sum(len(arena.ledger.interrupted(pid)) for pid in arena.kills)
    arena.fired("step interrupted by a kill", interrupted)


async def test_f22_the_replies_of_commits_are_lost(arena: Arena) -> None:
    """F22: committed, but the worker does not hear of it: nothing is done a second time."""
    await _lose_commits(arena, "swallow_reply")
    arena.assert_extra_entries(at_most=0)


async def test_f23_commits_are_cut_before_they_reach_the_server(arena: Arena) -> None:
    """F23: rolled back with the completion, and done again."""
    cuts = await _lose_commits(arena, "cut_before")
    assert arena.assert_extra_entries(at_most=cuts) == cuts


async def _lose_commits(arena: Arena, action: Action) -> int:
    proxy = await arena.proxy()
    worker = arena.worker(proxy=proxy)
    await arena.joined(worker)
    rule = Rule(b"COMMIT", action, times=sized(5, 100), every=3, application=TRANSACTION)
    proxy.rules.append(rule)
    width = sized(40, 800)
    await arena.start(fan(width, tool="fault.within", ms=2, retry=PATIENT))
    await arena.outputs(seconds=sized(60, 200))
    arena.fired(f"{action} of a commit", rule.fired)
    await arena.check()
    await _assert_effects(arena, width)
    return rule.fired
