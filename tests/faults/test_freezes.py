"""Workers that stand still, handlers that hold everything up, and clocks that jump."""

from __future__ import annotations

import asyncio

from flowbuilder.executor.events import EventRow
from flowbuilder.types import JsonObject
from tests.faults.harness.arena import Arena, chain, fan, flow, sized
from tests.faults.harness.invariants import all_events


async def test_f8_a_worker_frozen_beyond_its_lease(arena: Arena) -> None:
    """F8: SIGSTOP for longer than the lease, SIGCONT later: not a row is touched by what it then
    reports, extends or says of its progress."""
    frozen = arena.worker(lease=1.0)
    await arena.joined(frozen)
    gate = arena.folder / "gate"
    args: JsonObject = {"gate": str(gate), "value": "${{ item }}", "told": True}
    run_id = await arena.start(fan(4, tool="fault.hold", args=args))
    await arena.hold(lambda: arena.ledger.count() == 4, what="it does not begin")
    frozen.freeze()
    gate.touch()
    other = arena.worker(lease=1.0)
    await arena.outputs()
    before = await arena.rows(run_id)
    assert len(arena.ledger.interrupted(frozen.pid)) == 4
    frozen.thaw()
    await arena.hold(lambda: not arena.ledger.interrupted(frozen.pid), what="it does not go on")
    other.terminate()
    await other.gone()
    # By ending this it shows that what it had to report about the other run was heard.
    await arena.start(chain(2), 1)
    await arena.check()
    assert before == await arena.rows(run_id)
    arena.assert_extra_entries(at_most=4)


async def test_f8_workers_are_frozen_at_random_under_load(arena: Arena) -> None:
    """F8: freezes longer and shorter than the lease, one worker after the other."""
    workers = [arena.worker(lease=0.6) for _ in range(3)]
    await arena.joined(*workers)
    for _ in range(sized(3, 20)):
        await arena.start(fan(sized(40, 200), ms=20))
    freezes = sized(3, 40)
    for _ in range(freezes):
        await arena.hold(lambda: arena.ledger.count() > 0, what="they do not begin")
        victim = arena.dice.choice(workers)
        victim.freeze()
        await asyncio.sleep(arena.dice.choice([0.1, 0.9]))
        victim.thaw()
    await arena.outputs(seconds=sized(60, 300))
    await arena.check()
    # A freeze may cost every slot of the frozen one, and of one that was slow to thaw.
    arena.assert_extra_entries(at_most=2 * freezes * workers[0].orders.concurrency)


async def test_f9_a_step_much_longer_than_its_lease(arena: Arena) -> None:
    """F9: as long as the worker is well, nobody else begins the step."""
    workers = [arena.worker(lease=1.5) for _ in range(2)]
    await arena.joined(*workers)
    for name in ("fault.work", "fault.plain"):
        step: JsonObject = {"id": "slow", "tool": name, "args": {"ms": sized(3200, 10_000)}}
        await arena.start(flow("slow", [step]))
    await arena.outputs()
    rows = await arena.database.fetch_all(
        b"select 1 from flowbuilder.tasks where finished_at - started_at > '2 s'"
    )
    arena.fired("outlived the lease", len(rows))
    await arena.check()
    arena.assert_extra_entries(at_most=0)


async def test_f10_a_handler_that_blocks_the_event_loop(arena: Arena) -> None:
    """F10: the leases of all tasks of this worker go on meanwhile."""
    workers = [arena.worker(lease=1.5, concurrency=1) for _ in range(2)]
    await arena.joined(*workers)
    step: JsonObject = {"id": "block", "tool": "fault.block", "args": {"ms": sized(2500, 8000)}}
    await arena.start(flow("block", [step]))
    await arena.outputs()
    arena.fired("blocked loop", arena.ledger.count("block"))
    await arena.check()
    arena.assert_extra_entries(at_most=0)


async def test_f10_a_handler_that_holds_the_interpreters_lock(arena: Arena) -> None:
    """F10: native code that lets nothing else run: if it is done again, the first one is fenced."""
    first = arena.worker(lease=1.0, concurrency=1)
    await arena.joined(first)
    step: JsonObject = {"id": "gil", "tool": "fault.gil", "args": {"ms": 2000}}
    run_id = await arena.start(flow("gil", [step]))
    await arena.hold(lambda: arena.ledger.count() == 1, what="it does not begin")
    arena.worker(lease=10.0, concurrency=1)
    await arena.outputs()
    arena.fired("held interpreter", arena.ledger.count("gil"))
    await arena.check()
    types = [event.type for event in await all_events(arena.store, run_id)]
    assert types.count("task_completed") == 1
    arena.assert_extra_entries(at_most=1)


async def test_f32_the_databases_clock_jumps_ahead(arena: Arena) -> None:
    """F32: every lease seems to be over: work goes on, no task completes twice, no storm."""
    workers = [arena.worker() for _ in range(3)]
    await arena.joined(*workers)
    jumps = sized(4, 40)
    for _ in range(sized(3, 20)):
        await arena.start(fan(sized(30, 200), ms=20), timeout=10**9)
    nap: JsonObject = {"id": "nap", "tool": "fault.nap", "args": {"seconds": 1800}}
    await arena.start(flow("nap", [nap]), timeout=10**9)
    await arena.hold(lambda: arena.ledger.count("nap") == 1, what="the sleeper does not begin")
    for _ in range(jumps):
        await arena.engine.jump(arena.dice.choice([20, 3600]))
        arena.fired("clock jump")
        await asyncio.sleep(arena.dice.uniform(0.02, 0.15))
    await arena.engine.jump(3600)
    await arena.outputs(seconds=120)
    await arena.check()
    slots = sum(worker.orders.concurrency for worker in workers)
    arena.assert_extra_entries(at_most=(jumps + 1) * slots)


async def test_f32_a_jump_back_keeps_nobody_waiting(arena: Arena) -> None:
    """F32: leases that lie far ahead: a killed worker's tasks are still taken over at once."""
    gate = arena.folder / "gate"
    await arena.engine.jump(7200)
    victim = arena.worker()
    await arena.joined(victim)
    await arena.start(fan(4, tool="fault.hold", args={"gate": str(gate)}), timeout=10**9)
    await arena.hold(lambda: arena.ledger.count() == 4, what="it does not begin")
    await arena.engine.jump(-3600)
    arena.fired("clock jump back")
    victim.kill()
    gate.touch()
    arena.worker()
    await arena.outputs(seconds=20)
    await arena.check()
    arena.assert_extra_entries(at_most=4)


async def test_f52_timers_fire_once_though_everybody_looks(arena: Arena) -> None:
    """F52: sleeps, delayed retries and deadlines with many who do the upkeep: one is frozen, one
    is killed while they fall due."""
    workers = [arena.worker(poll=0.05, lease=2.0) for _ in range(4)]
    await arena.joined(*workers)
    count = sized(12, 200)
    steps: list[JsonObject] = [
        {"id": "nap", "tool": "fault.nap", "for_each": list(range(count)),
         "args": {"seconds": 0.7}},
        {"id": "again", "tool": "fault.stumble", "for_each": list(range(count)),
         "args": {"times": 2, "value": "${{ item }}"},
         "retry": {"max_attempts": 3}},
        {"id": "ask", "tool": "fault.work", "approval": {"deadline": "1s"}, "on_error": "skip"},
    ]  # fmt: skip
    run_id = await arena.start(flow("timers", steps, output="${{ steps.again }}"))
    await arena.hold(lambda: arena.ledger.count("again") > count, what="no retry is seen")
    workers[0].freeze()
    workers[1].kill()
    assert await arena.outputs() == [list(range(count))]
    workers[0].thaw()
    await arena.check()
    events = await all_events(arena.store, run_id)
    waited = [event.task_id for event in events if event.type == "task_waiting"]
    assert len(waited) == len(set(waited)) == count + 1
    expired = [event for event in events if event.type == "approval_expired"]
    assert len(expired) == 1
    # A try that was cut short counts nothing; each retry was announced once.
    retried = [(e.task_id, e.attempt) for e in events if _stumbled(e)]
    assert len(retried) == len(set(retried)) == 2 * count


def _stumbled(event: EventRow) -> bool:
    """Whether it tells of a try that failed, not of a worker that was lost."""
    error = event.data.get("error")
    return event.type == "task_retrying" and (
        isinstance(error, dict) and error["code"] != "worker_lost"
    )
