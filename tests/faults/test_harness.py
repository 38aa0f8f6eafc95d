"""The harness itself: its faults do what they say, and what it checks can fail."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tests.faults.harness.arena import Arena, chain, fan
from tests.faults.harness.invariants import assert_invariants
from tests.faults.harness.ledger import quantile
from tests.faults.harness.proxy import Rule
from tests.faults.harness.server import through
from tests.faults.harness.watchdog import deadline

_BROKEN = {
    "I1": "update flowbuilder.runs set status = 'running', finished_at = null, output = null",
    "I2": "update flowbuilder.events set type = 'task_completed' where type = 'task_started'"
    " and step_name = 's0'",
    "I3": "update flowbuilder.events set step_name = case step_name when 's0' then 's1' else 's0'"
    " end where step_name is not null",
    "I4": "update flowbuilder.runs set output = '0'",
    "I5": "update flowbuilder.run_steps set succeeded_deps = 0 where step_id = 's1'",
    "I6": "select pgmq.send('flowbuilder_tasks', '{\"task\": 0}')",
    "I7": "delete from flowbuilder.events where seq = 3",
}


@pytest.mark.parametrize("broken", _BROKEN)
async def test_a_broken_invariant_is_found(arena: Arena, broken: str) -> None:
    arena.worker()
    run_id = await arena.start(chain(2), 1)
    arena.fired("nothing")
    await arena.check()
    await arena.database.execute(_BROKEN[broken].encode())
    with pytest.raises(AssertionError, match=broken):
        await assert_invariants(arena.database, arena.ledger, [run_id])


async def test_a_test_without_a_fault_fails(arena: Arena) -> None:
    with pytest.raises(AssertionError, match="never happened: it"):
        arena.fired("it", 0)
    with pytest.raises(AssertionError, match="no fault"):
        await arena.check()


async def test_a_swallowed_reply_leaves_a_commit_and_a_cut_leaves_none(arena: Arena) -> None:
    proxy = await arena.proxy()
    swallow = Rule(b"insert into public.effects", "swallow_reply", holding=b"first")
    cut = Rule(b"insert into public.effects", "cut_before", holding=b"second")
    refused = Rule(b"1 / 0", "swallow_reply")
    proxy.rules += [swallow, cut, refused]
    insert = "insert into public.effects values (%s, 1, 1)"
    for query, values in ((insert, ["first"]), (insert, ["second"]), ("select 1 / 0", None)):
        dsn = through(arena.dsn, proxy.port)
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            with pytest.raises(psycopg.OperationalError):
                await connection.execute(query.encode(), values)
    assert (swallow.fired, cut.fired) == (1, 1)
    assert (refused.fired, refused.refused) == (0, 1)
    rows = await arena.database.fetch_all(b"select key from public.effects")
    assert rows == [{"key": "first"}]


async def test_the_watchdog_tells_where_everybody_stands(arena: Arena) -> None:
    gate = arena.folder / "gate"
    worker = arena.worker()
    await arena.start(fan(1, tool="fault.hold", args={"gate": str(gate)}))
    await arena.hold(lambda: arena.ledger.count() == 1, what="it does not begin")
    with pytest.raises(AssertionError, match="runs do not end; seed") as told:
        await arena.ended(seconds=0.2)
    for part in ("== runs", '"status": "running"', "task_started", f'"pid": {worker.pid}'):
        assert part in str(told.value), part
    text = (arena.folder / "state.txt").read_text(encoding="utf-8")
    assert "flowbuilder-leases" in text or "lease.py" in text, "no stacks of the worker"
    gate.touch()
    await arena.ended()


async def test_the_watchdog_ends_a_test_that_hangs(arena: Arena) -> None:
    async def hangs() -> None:
        async with deadline(0.2, "hangs", arena.state):
            await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="hangs took longer than") as told:
        await asyncio.create_task(hangs())
    assert "== workers" in str(told.value)


async def test_the_ledger_knows_what_a_kill_has_interrupted(arena: Arena) -> None:
    gate = arena.folder / "gate"
    victim = arena.worker()
    await arena.start(fan(3, tool="fault.hold", args={"gate": str(gate)}))
    await arena.hold(lambda: arena.ledger.count() == 3, what="it does not begin")
    victim.kill()
    gate.touch()
    arena.worker()
    await arena.check()
    assert [entry.step for entry in arena.ledger.interrupted(victim.pid)] == ["each"] * 3
    times = arena.ledger.recoveries(arena.kills)
    assert len(times) == 3 and min(times) > 0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
