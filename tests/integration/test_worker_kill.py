"""kill -9: no task is lost, none completes twice, and the event stream has no gap."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flowbuilder.executor import embedded
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import RunRow
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Store
from tests.support.engine import Engine
from tests.support.waiting import eventually
from tests.support.worker_process import TASKS, start_run

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def worker_process(where: str, ledger: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.worker_process", where, str(ledger), cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def pids(ledger: Path) -> Counter[int]:
    """Count the calls by process."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return Counter(int(line.split()[0]) for line in lines)


async def is_dead(store: Store, pid: int) -> bool:
    return [row.pid for row in await store.workers() if row.status == "dead"] == [pid]


async def completed(store: Store, run_id: str) -> RunRow:
    async def has_ended() -> bool:
        return (await store.get_run(run_id)).status.terminal

    await eventually(has_ended, seconds=90, what="the run did not end")
    return await store.get_run(run_id)


async def assert_whole(database: Database, run: RunRow) -> None:
    """Assert that every task completed exactly once and the stream is gapless."""
    engine = Engine(database)
    assert run.status is RunStatus.COMPLETED, run.error
    assert run.output == [n * 2 for n in range(TASKS)]
    trace = await engine.trace(run.id)
    assert trace.count("workflow_completed") == 1
    events = await engine.store.events(run.id, limit=10_000)
    done = Counter(event.task_id for event in events if event.type == "task_completed")
    assert len(done) == TASKS + 1 and set(done.values()) == {1}
    await engine.at_rest()


@pytest.mark.slow
async def test_killing_one_of_two_workers_loses_and_doubles_nothing(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    ledger, store = tmp_path / "ledger", Store(database)
    async with worker_process(dsn, ledger) as one, worker_process(dsn, ledger) as two:
        run_id = await start_run(store, ledger)
        await eventually(lambda: min(pids(ledger)[one.pid], pids(ledger)[two.pid]) >= 10)
        one.send_signal(signal.SIGKILL)
        await one.wait()
        assert not (await store.get_run(run_id)).status.terminal, "it was killed too late"
        run = await completed(store, run_id)
        await eventually(lambda: is_dead(store, one.pid))
    await assert_whole(database, run)
    # What the killed one had begun, at most its slots, was done again.
    assert TASKS < sum(pids(ledger).values()) <= TASKS + 1 + 4


@pytest.mark.slow
async def test_the_only_process_is_killed_and_started_again_on_the_same_folder(
    short_dir: Path, tmp_path: Path
) -> None:
    ledger, folder = tmp_path / "ledger", short_dir / "data"
    async with worker_process(str(folder), ledger) as first:
        await eventually(lambda: pids(ledger)[first.pid] >= 50, seconds=90)
        first.send_signal(signal.SIGKILL)
        await first.wait()
    async with worker_process(str(folder), ledger) as second:
        await eventually(lambda: pids(ledger)[second.pid] >= 1, seconds=90)
        with await embedded.start_async(folder) as server:
            async with await Database.open(server.dsn) as database:
                run_id = await start_run(Store(database), ledger)
                run = await completed(Store(database), run_id)
                await assert_whole(database, run)
        second.send_signal(signal.SIGKILL)
        await second.wait()
    embedded.start(folder).stop()
