"""Stopping: with work in flight, twice, in turn, under overload; and cancelling."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from flowbuilder.errors import InvalidTransition
from flowbuilder.types import JsonObject
from tests.faults.harness.arena import LONG, Arena, chain, fan, flow, sized
from tests.faults.harness.invariants import all_events
from tests.faults.harness.ledger import quantile
from tests.faults.harness.pace import Pace, assert_all_completed, minutes


async def test_f42_workers_are_stopped_in_turn_with_work_in_flight(arena: Arena) -> None:
    """F42: the grace is shorter than the step: work is handed back at once and costs no try."""
    stops = sized(4, 50)
    workers = [arena.worker(grace=0.05) for _ in range(2)]
    await arena.joined(*workers)
    await arena.start(fan(sized(100, 1500), ms=150))
    times: list[float] = []
    for _ in range(stops):
        mark = arena.ledger.count()
        await arena.hold(lambda: arena.ledger.count() > mark + 4, what="no progress")  # noqa: B023
        leaving = workers.pop(0)
        workers.append(arena.worker(grace=0.05))
        arena.kills[leaving.pid] = time.monotonic()
        leaving.terminate()
        await leaving.gone(10)
        times.append(time.monotonic() - arena.kills[leaving.pid])
    interrupted = sum(len(arena.ledger.interrupted(pid)) for pid in arena.kills)
    arena.fired("stopped in the middle of a step", interrupted)
    await arena.outputs(seconds=120)
    await arena.check()
    arena.assert_extra_entries(at_most=interrupted)
    assert {entry.attempt for entry in arena.ledger.entries()} == {1}
    again = arena.ledger.recoveries(arena.kills)
    arena.figure(stops=stops, slowest_stop=round(max(times), 2),
                 again_p95=round(quantile(again, 0.95), 2),
                 again_worst=round(max(again), 2))  # fmt: skip
    assert max(times) < leaving.orders.grace + 10
    if LONG:
        assert max(again) < 2.0


async def test_f43_a_second_signal_ends_at_once(arena: Arena) -> None:
    """F43: the second SIGTERM does not wait for the grace; nothing is half committed."""
    gate = arena.folder / "gate"
    stubborn = arena.worker(grace=120.0)
    await arena.joined(stubborn)
    await arena.start(fan(4, tool="fault.hold", args={"gate": str(gate)}))
    await arena.hold(lambda: arena.ledger.count() == 4, what="it does not begin")
    stubborn.terminate()
    other = arena.worker()
    await arena.joined(other)
    assert stubborn.alive
    stubborn.terminate()
    await stubborn.gone(10)
    arena.fired("second signal")
    gate.touch()
    await arena.outputs()
    await arena.check()
    arena.assert_extra_entries(at_most=4)


async def test_f41_a_burst_beyond_what_can_be_done(arena: Arena) -> None:
    """F41: a stop in the middle of it keeps its grace, and all ends."""
    first = arena.worker(concurrency=2, grace=1.0)
    await arena.joined(first)
    for _ in range(sized(60, 1500)):
        await arena.start(chain(2, ms=20), 1)
    waiting = await arena.database.fetch_all(
        b"select 1 from flowbuilder.tasks where status = 'queued'"
    )
    arena.fired("task in the queue at the end of the burst", len(waiting))
    began = time.monotonic()
    first.terminate()
    await first.gone(10)
    arena.figure(stop_under_load=round(time.monotonic() - began, 2))
    arena.worker(concurrency=16)
    await arena.outputs(seconds=180)
    await arena.check()
    arena.assert_extra_entries(at_most=2)


async def test_f41_half_as_much_again_as_can_be_done(arena: Arena) -> None:
    """F41: what is done in a second does not fall while the queue grows, what has piled up is
    worked off beside the usual load, and then runs are as quick as before. Long: ten minutes."""
    seconds = minutes(10) * 60 if LONG else 4.0
    # Four slots in all, so that the handlers' time is the bound and not this machine.
    workers = [arena.worker(concurrency=2) for _ in range(2)]
    await arena.joined(*workers)
    step = chain(1, ms=100)
    usual, overload = await Pace.of(arena, step, rate=10), await Pace.of(arena, step, rate=60)
    before = await usual.keep(seconds / 10)
    stretches = [await overload.keep(seconds / 4) for _ in range(4)]
    depth = await arena.store.queue_depth()
    arena.fired("task that nobody could take", cast(int, depth["queued"]))
    drained = time.monotonic()
    while (await arena.store.queue_depth())["queued"]:
        await usual.keep(1)
    drained = time.monotonic() - drained
    after = await usual.keep(seconds / 10)
    arena.figure(
        rates=" ".join(f"{one.rate:.1f}" for one in (before, *stretches, after)),
        p99=f"{before.p99:.3f}>{after.p99:.3f}", piled_up=depth["queued"], drained=round(drained),
    )  # fmt: skip
    if LONG:
        assert stretches[-1].rate >= 0.95 * stretches[0].rate
        assert after.rate >= 0.95 * before.rate and after.p99 < 2 * before.p99 + 0.1
    began = time.monotonic()
    await arena.check()
    arena.figure(stop=round(time.monotonic() - began, 1))
    await assert_all_completed(arena, usual.started + overload.started)


async def test_f36_a_worker_without_the_tool(arena: Arena) -> None:
    """F36: it leaves the task to others, burns no try, and goes on with what it can do."""
    lacking = arena.worker(without=["fault.plain"])
    await arena.joined(lacking)
    step: JsonObject = {"id": "plain", "tool": "fault.plain", "args": {"ms": 1, "value": 3}}
    waiting = await arena.start(flow("skewed", [step], output="${{ steps.plain }}"))
    other = await arena.start(chain(3), 1)

    async def over() -> bool:
        return (await arena.store.get_run(other)).status.terminal

    await arena.hold(over, what="the other run does not end")
    (task,) = await arena.store.run_tasks(waiting)
    assert (task.status, task.attempt) == ("queued", 0)
    arena.fired("task without a worker")
    arena.worker()
    assert await arena.outputs() == [3, 1]
    await arena.check()
    assert [entry.attempt for entry in arena.ledger.entries("plain")] == [1]


async def test_f16_a_run_is_cancelled_in_full_flight(arena: Arena) -> None:
    """F16: a hundred queued, some running: nothing begins after the cancel, slots are free."""
    workers = [arena.worker(concurrency=5) for _ in range(2)]
    await arena.joined(*workers)
    gate = arena.folder / "never"
    run_id = await arena.start(fan(100, tool="fault.hold", args={"gate": str(gate)}))
    await arena.hold(lambda: arena.ledger.count() == 10, what="they do not begin")
    await arena.store.cancel_run(run_id)
    arena.fired("cancelled handler", arena.ledger.count())
    # All ten slots are held by handlers that never end by themselves.
    await arena.start(fan(20, ms=5))
    await arena.ended()
    await arena.check()
    assert len([entry for entry in arena.ledger.entries() if entry.run == run_id]) == 10
    events = await all_events(arena.store, run_id)
    assert events[-1].type == "workflow_cancelled"


async def test_f16_a_run_is_cancelled_with_its_children(arena: Arena) -> None:
    """F16: a hundred child runs, some at work, others in the queue: all end, none begins a step
    after its parent's cancel, and every slot is free again."""
    workers = [arena.worker(concurrency=5, without=["fault.child"]) for _ in range(2)]
    # Children would fill the slots before the last of them is called.
    await arena.joined(*workers, arena.worker(without=["fault.hold"]))
    gate = str(arena.folder / "never")
    child = flow("child", [{"id": "stay", "tool": "fault.hold", "args": {"gate": gate}}])
    await arena.store.register_version(child, arena.registry)
    width = sized(30, 110)
    call: JsonObject = {
        "id": "call", "tool": "fault.child", "for_each": list(range(width)),
        "args": {"flows": ["child"]},
    }  # fmt: skip
    run_id = await arena.start(flow("parent", [call]))

    async def started() -> bool:
        return len(await _children(arena)) == width and arena.ledger.count("stay") == 10

    await arena.hold(started, what="the children do not begin")
    await arena.store.cancel_run(run_id)
    arena.fired("cancelled child", width)
    # All ten slots are held by handlers that never end by themselves.
    await arena.start(fan(20, ms=5))
    await arena.ended()
    assert set(await _children(arena)) == {"cancelled"}
    assert arena.ledger.count("stay") == 10
    cancelled_at = await arena.database.fetch_all(_BEGUN_AFTER_CANCEL)
    assert cancelled_at == []
    await arena.check()


async def _children(arena: Arena) -> list[str]:
    rows = await arena.database.fetch_all(
        b"select status from flowbuilder.runs where parent_run_id is not null"
    )
    return [row["status"] for row in rows]


_BEGUN_AFTER_CANCEL = b"""
select t.id from flowbuilder.tasks t join flowbuilder.runs r on r.id = t.run_id
where r.status = 'cancelled' and t.started_at > r.finished_at
"""


async def test_f15_cancels_race_the_last_completion(arena: Arena) -> None:
    """F15: a run is cancelled or completed, never both; what was cancelled can be taken up."""
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    for _ in range(sized(25, 500)):
        run_id = await arena.start(chain(2, ms=3), 1)
        delay = arena.dice.uniform(0.0, 0.06)
        await asyncio.sleep(delay)
        await _cancel(arena, run_id)
    runs = await arena.ended()
    cancelled = sum(run.status.value == "cancelled" for run in runs)
    assert {run.status.value for run in runs} <= {"cancelled", "completed"}
    arena.fired("race won by the cancel", cancelled)
    arena.fired("race won by the completion", len(runs) - cancelled)
    for run in [run for run in runs if run.status.value == "cancelled"][:20]:
        again = await arena.store.retry_run(run.id)
        assert again.run_id is not None
        arena.acknowledged.append(again.run_id)
    taken_up = (await arena.ended())[len(runs) :]
    assert taken_up and {run.output for run in taken_up} == {1}
    await arena.check()


async def _cancel(arena: Arena, run_id: str) -> None:
    try:
        await arena.store.cancel_run(run_id)
    except InvalidTransition:
        assert (await arena.store.get_run(run_id)).status.terminal
