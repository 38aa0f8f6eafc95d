"""When a test does not get on, writes down everything there is to know, and ends it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

#: Everything of the runs that are open, and who is at work or waits for whom.
_STATE = {
    "runs": """select id, flow, status, remaining_steps, holds, last_seq, deadline_at, error
        from flowbuilder.runs where finished_at is null limit 20""",
    "steps": """select s.run_id, s.step_id, s.status, s.remaining_deps, s.task_count,
        s.remaining_tasks from flowbuilder.run_steps s join flowbuilder.runs r on r.id = s.run_id
        where r.finished_at is null and s.status in ('pending', 'running') limit 60""",
    "tasks": """select t.* from flowbuilder.tasks t join flowbuilder.runs r on r.id = t.run_id
        where r.finished_at is null and t.finished_at is null order by t.id limit 60""",
    "events": """select e.stream, e.seq, e.type, e.step_name, e.task_id, e.attempt, e.at
        from flowbuilder.events e join flowbuilder.runs r on r.id = e.stream
        where r.finished_at is null order by e.at desc limit 60""",
    "workers": """select id, name, pid, status, lock_seen, suspect_at, last_seen_at
        from flowbuilder.workers order by started_at desc limit 20""",
    "queue": "select * from pgmq.q_flowbuilder_tasks order by msg_id limit 60",
    "outbox": "select * from flowbuilder.outbox order by id limit 20",
    "clock": "select flowbuilder.now() as engine, clock_timestamp() as server",
    "sessions": """select pid, application_name, state, wait_event_type, wait_event, xact_start,
        left(query, 200) as query from pg_stat_activity where datname = current_database()""",
    "locks": """select l.pid, l.locktype, l.mode, l.granted, l.relation::regclass::text
        from pg_locks l where not l.granted or l.locktype = 'advisory'""",
}


@asynccontextmanager
async def deadline(
    seconds: float, name: str, state: Callable[[], Awaitable[Path]]
) -> AsyncIterator[None]:
    """End the test of this name when it takes longer, whatever it is waiting for.

    Raises:
        AssertionError: At the end, with the state that `state` has written down meanwhile.
    """
    written: list[Path] = []

    async def watch() -> None:
        await asyncio.sleep(seconds)
        written.append(await state())
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__name__", "") == name:
                task.cancel(f"{name} took longer than {seconds:g} seconds")

    watching = asyncio.create_task(watch(), name="watchdog")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for one in written:
            text = one.read_text(encoding="utf-8")[:6000]
            raise AssertionError(f"{name} took longer than {seconds:g} seconds; {one}:\n{text}")


async def dump(dsn: str, folder: Path, pids: Iterable[int]) -> Path:
    """Write the state of the database and the stacks of these processes; returns the file."""
    target = folder / "state.txt"
    with target.open("w", encoding="utf-8") as out:
        try:
            connection = await psycopg.AsyncConnection.connect(
                dsn, autocommit=True, row_factory=dict_row, connect_timeout=5
            )
        except psycopg.Error as error:
            out.write(f"no database: {error}\n")
        else:
            async with connection:
                for name, query in _STATE.items():
                    out.write(f"== {name}\n")
                    try:
                        rows = await (await connection.execute(query.encode())).fetchall()
                    except psycopg.Error as error:
                        out.write(f"{error}\n")
                        continue
                    for row in rows:
                        out.write(json.dumps(row, default=str) + "\n")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        await asyncio.sleep(0.2)  # they write their stacks
        out.write(_texts(folder))
    return target


def _texts(folder: Path) -> str:
    """Return the stacks and the logs of the workers."""
    paths = sorted([*folder.glob("*.stacks"), *folder.glob("*.log")])
    return "".join(f"== {one.name}\n{one.read_text(encoding='utf-8')[-4000:]}\n" for one in paths)
