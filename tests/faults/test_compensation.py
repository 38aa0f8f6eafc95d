"""Compensation under faults: what was done is undone, once each and in order, whoever dies."""

from __future__ import annotations

import asyncio

from flowbuilder.executor.states import RunStatus
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject
from tests.faults.harness.arena import Arena, flow, sized
from tests.faults.harness.invariants import all_events

LENGTH = 5


def doomed() -> Flow:
    """Return a chain whose last step fails; what undoes each step writes within its transaction."""
    steps: list[JsonObject] = [
        {
            "id": f"s{number}",
            "tool": "fault.work",
            "args": {"value": number, "ms": 5},
            "depends_on": [f"s{number - 1}"] if number else [],
            "compensate": {
                "tool": "fault.within",
                "args": {"value": f"${{{{ steps.s{number} }}}}", "ms": 30},
            },
        }
        for number in range(LENGTH)
    ]
    last: JsonObject = {
        "id": "last",
        "tool": "fault.script",
        "args": {"stumbles": [0], "succeeds": [False], "value": 0},
        "depends_on": [f"s{LENGTH - 1}"],
    }
    return flow("doomed", [*steps, last])


async def test_workers_are_killed_while_runs_are_undone(arena: Arena) -> None:
    """kill -9 at random moments: each step is undone exactly once, the latest first."""
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    for _ in range(sized(5, 40)):
        mark = arena.ledger.count()
        for _ in range(3):
            await arena.start(doomed())
        await arena.hold(lambda: arena.ledger.count() > mark, what="no progress")  # noqa: B023
        await asyncio.sleep(arena.dice.uniform(0, 0.05))
        victim = workers.pop(0)
        victim.kill()
        workers.append(arena.worker())
        await arena.joined(workers[-1])
    runs = await arena.ended(seconds=sized(90, 300))
    await arena.check()
    names = [f"s{number}" for number in reversed(range(LENGTH))]
    for run in runs:
        assert run.status is RunStatus.FAILED and run.error is not None
        assert (run.error["step"], run.error["compensated"]) == ("last", names)
        undone = [
            event.step_name
            for event in await all_events(arena.store, run.id)
            if event.type == "task_completed" and str(event.step_name).startswith("compensate:")
        ]
        assert undone == [f"compensate:{name}" for name in names]
    keys = await arena.database.fetch_all(
        b"select key, count(*) as n from public.effects group by key"
    )
    assert len(keys) == LENGTH * len(runs)
    assert {row["n"] for row in keys} == {1}
