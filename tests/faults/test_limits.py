"""Limits under kills, cancels and restarts: never more at once, never more often, no place lost."""

from __future__ import annotations

import asyncio
import time

from flowbuilder.limits import Rate
from flowbuilder.types import JsonObject
from tests.faults.harness.arena import Arena, fan, flow, sized
from tests.faults.harness.ledger import Ledger

AT_ONCE = 3
_PLACES = b"""
select (select count(*) from flowbuilder.slot_uses) as uses,
       (select count(*) from flowbuilder.tasks where blocked_by is not null
        and status = 'queued') as blocked,
       (select count(*) from flowbuilder.limit_slots where waiting) as waiting
"""
_STARTS = b"""
select extract(epoch from started_at)::float8 as at from flowbuilder.tasks
where step_id = 'each' and kind = 'step' order by started_at
"""


async def test_f53_a_limit_holds_under_kills_and_cancels(arena: Arena) -> None:
    """F53: never more handlers at once than the limit says, counted outside; no place leaks."""
    await arena.store.set_limit("fault.work", concurrency=AT_ONCE, rate=None)
    workers = [arena.worker(concurrency=4) for _ in range(3)]
    await arena.joined(*workers)
    width = sized(30, 400)
    for _ in range(4):
        await arena.start(fan(width, ms=sized(15, 40)))
    doomed = await arena.store.register_version(fan(width, ms=15), arena.registry)
    cancelled: dict[str, float] = {}
    for _ in range(sized(4, 60)):
        run, _ = await arena.store.start_run(doomed.id, None, timeout_seconds=3600)
        mark = arena.ledger.count()
        await arena.hold(lambda: arena.ledger.count() > mark + 6, what="no progress")  # noqa: B023
        cancelled[run.id] = time.monotonic()
        await arena.store.cancel_run(run.id)
        victim = arena.dice.choice(workers)
        workers.remove(victim)
        victim.kill()
        workers.append(arena.worker(concurrency=4))
    assert await arena.outputs(seconds=sized(90, 600)) == [list(range(width))] * 4
    await arena.check()
    at_once = most_at_once(arena.ledger, arena.kills, cancelled)
    assert at_once == AT_ONCE
    assert await arena.database.fetch_one(_PLACES) == {"uses": 0, "blocked": 0, "waiting": 0}
    arena.figure(kills=len(arena.kills), cancelled=len(cancelled), at_once=at_once)


async def test_f53_a_limit_for_each_key_holds_while_a_worker_is_frozen(arena: Arena) -> None:
    """F53 with F8: what a frozen worker holds keeps its places until others take over."""
    keyed: JsonObject = {"key": "${{ input }}", "concurrency": 2}
    wide = flow(
        "keyed",
        [
            {"id": "each", "tool": "fault.work", "for_each": list(range(sized(20, 200))),
             "args": {"value": "${{ item }}", "ms": 20}, "limit": keyed},
        ],
    )  # fmt: skip
    workers = [arena.worker(concurrency=4, lease=1.0) for _ in range(2)]
    await arena.joined(*workers)
    runs = {await arena.start(wide, number % 2): number % 2 for number in range(4)}
    await arena.hold(lambda: arena.ledger.count() >= 10, what="they do not begin")
    frozen = time.monotonic()
    workers[0].freeze()
    await arena.hold(lambda: arena.ledger.count() >= 30, what="nobody takes over")
    workers[0].thaw()
    await arena.outputs(seconds=sized(60, 300))
    await arena.check()
    for key in (0, 1):
        mine = {run for run, value in runs.items() if value == key}
        ended = {workers[0].pid: frozen}  # from then on others may have taken over
        assert most_at_once(arena.ledger, ended, {}, among=mine) == 2
    assert await arena.database.fetch_one(_PLACES) == {"uses": 0, "blocked": 0, "waiting": 0}


async def test_f54_a_rate_holds_with_many_workers_and_a_restart(arena: Arena) -> None:
    """F54: no span of the time has more starts than it may, also across a crash of the server."""
    count, span = 12, 1.5
    await arena.store.set_limit("fault.work", concurrency=None, rate=Rate(count=count, per=span))
    workers = [arena.worker(concurrency=4) for _ in range(sized(4, 8))]
    await arena.joined(*workers)
    each = fan(sized(60, 300), ms=1).model_dump(mode="json")["steps"][0]
    await arena.start(flow("rated", [each]))
    await arena.hold(lambda: arena.ledger.count() >= 2 * count, what="they do not begin")
    await asyncio.to_thread(arena.server.stop, "immediate")
    arena.fired("crash of the server")
    await asyncio.to_thread(arena.server.start)
    await arena.outputs(seconds=sized(60, 200))
    starts = [row["at"] for row in await arena.database.fetch_all(_STARTS)]
    assert len(starts) == sized(60, 300)
    for place in range(len(starts) - count):
        assert starts[place + count] - starts[place] >= span - 1e-3
    await arena.check()
    assert await arena.database.fetch_one(_PLACES) == {"uses": 0, "blocked": 0, "waiting": 0}


def most_at_once(
    ledger: Ledger,
    kills: dict[int, float],
    cancelled: dict[str, float],
    *,
    among: set[str] | None = None,
) -> int:
    """Return how many mapped handlers ran at the same moment at the most.

    What a process had begun ends with its kill, what belonged to a run with its cancel.
    """
    begun: dict[tuple[int, str], float] = {}
    changes: list[tuple[float, int]] = []
    for entry in ledger.read():
        if entry.step != "each" or (among is not None and entry.run not in among):
            continue
        name = (entry.pid, f"{entry.key}/{entry.attempt}")
        if entry.what == "enter":
            begun[name] = entry.at
            last = min(kills.get(entry.pid, 1e18), cancelled.get(entry.run, 1e18))
            changes += [(entry.at, 1)] if entry.at <= last else []
            changes += [(last, -1)] if entry.at <= last < 1e18 else []
        elif name in begun:
            last = min(kills.get(entry.pid, 1e18), cancelled.get(entry.run, 1e18))
            if last == 1e18:
                changes.append((entry.at, -1))
            elif entry.at < last:
                changes.remove((last, -1))
                changes.append((entry.at, -1))
    running = most = 0
    for _, change in sorted(changes, key=lambda item: (item[0], item[1])):
        running += change
        most = max(most, running)
    return most
