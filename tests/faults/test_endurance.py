"""Long work leaves nothing behind: the memory of a worker, the dead rows of the server."""

from __future__ import annotations

import resource
from pathlib import Path

from tests.faults.harness.arena import LONG, Arena, chain, fan, sized
from tests.faults.harness.pace import Pace, minutes

_PAGE = resource.getpagesize()
_TABLES = b"""
select relname, n_live_tup as live, n_dead_tup as dead, pg_table_size(relid) as bytes
from pg_stat_user_tables where schemaname in ('flowbuilder', 'pgmq')
"""
#: What is deleted or written over again and again; the others only grow.
_CHURNING = ("q_flowbuilder_tasks", "workers")
#: What vacuum may leave until it comes round, of a table that every step writes to.
_MOST_DEAD = 50_000


async def test_the_memory_of_a_worker_stays_flat(arena: Arena) -> None:
    """After the first fifth of 100,000 tasks a worker has all it needs; the rest adds nothing
    that grows with the number of tasks."""
    worker = arena.worker(concurrency=16)
    await arena.joined(worker)
    early = await _after(arena, worker.pid, tasks=sized(1_000, 20_000))
    late = await _after(arena, worker.pid, tasks=sized(2_000, 80_000))
    arena.fired("task", arena.ledger.count())
    arena.figure(rss=f"{early / 2**20:.1f}>{late / 2**20:.1f} MiB")
    # 100 bytes a task that stay would be 8 MB in the long form.
    assert late - early < sized(6, 8) * 2**20, f"{early} bytes, later {late}"
    await arena.check(seconds=300)


async def _after(arena: Arena, pid: int, *, tasks: int) -> int:
    """Return the resident bytes of a process after so many further tasks."""
    for _ in range(tasks // 1000):
        await arena.start(fan(998, ms=0))
        await arena.ended(seconds=300)
    return _resident(pid)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE


async def test_dead_rows_stay_bounded_under_steady_load(arena: Arena) -> None:
    """Long: twenty minutes. What churns is cleared away as fast as it comes, and the queue's
    table is no larger at the end than in the middle."""
    workers = [arena.worker(concurrency=8) for _ in range(2)]
    await arena.joined(*workers)
    pace = await Pace.of(arena, chain(2, ms=1), rate=sized(50, 100))
    seconds = minutes(20) * 60 if LONG else 4.0
    peaks: list[dict[str, int]] = []
    stretches = sized(2, 20)
    for _ in range(stretches):
        await pace.keep(seconds / stretches)
        peaks.append(await _dead(arena))
        if not LONG:  # too short for the server to come round by itself
            await arena.database.execute(b"vacuum flowbuilder.tasks")
            await arena.database.execute(b"vacuum pgmq.q_flowbuilder_tasks")
    tables = {row["relname"]: row for row in await arena.database.fetch_all(_TABLES)}
    arena.fired("run", pace.started)
    arena.figure(
        dead=f"{sum(peaks[len(peaks) // 2].values())}>{sum(peaks[-1].values())}",
        worst=max((peak[name], name) for peak in peaks for name in peak),
        queue=f"{tables['q_flowbuilder_tasks']['bytes'] / 2**20:.1f} MiB",
    )  # fmt: skip
    for name in _CHURNING:
        assert tables[name]["bytes"] < 16 * 2**20, name
    for peak in peaks:
        for name, dead in peak.items():
            assert dead < max(_MOST_DEAD, tables[name]["live"] / 4), (name, peak)
    await arena.check(seconds=300)


async def _dead(arena: Arena) -> dict[str, int]:
    return {row["relname"]: row["dead"] for row in await arena.database.fetch_all(_TABLES)}
