"""A database that cannot write: its disk is full, or it has been made read-only meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flowbuilder.client import FlowBuilder
from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.settings import Settings
from tests.faults.harness.arena import LONG, Arena, sized
from tests.faults.harness.disks import Disk, small_disk
from tests.faults.harness.nursery import Nursery
from tests.faults.harness.server import FaultServer, is_alive
from tests.faults.harness.services import Senders, Services, is_ready
from tests.faults.harness.watchdog import deadline

SLUG = "kept"
#: Bytes of each input: where there is no room, soon nothing can be stored.
_BYTES = 40_000
_MEBIBYTES = 320
#: Much is written anew here, and no more of the log kept than the disk can hold.
_SETTINGS = "min_wal_size = 32MB\nmax_wal_size = 48MB\nautovacuum = off\n"
_DOCUMENT: dict[str, Any] = {
    "flow": SLUG,
    "input": {"type": "object", "properties": {"n": {"type": "integer"}, "text": {}}},
    "steps": [
        {"id": "each", "tool": "fault.work", "for_each": [1, 2, 3],
         "args": {"value": "${{ item }}", "ms": 5}, "retry": {"max_attempts": 1}},
        {"id": "within", "tool": "fault.within", "depends_on": ["each"],
         "args": {"value": "${{ input.text }}"}, "retry": {"max_attempts": 20}},
    ],
    "output": "${{ input.n }}",
}  # fmt: skip
_EFFECTS = b"select key, count(*) as n from public.effects group by key having count(*) > 1"


@pytest.fixture
def disk(fault_server: FaultServer, nursery: Nursery) -> Iterator[Disk]:
    folder = fault_server.cluster.data_dir / "small"
    with small_disk(folder, nursery, mebibytes=_MEBIBYTES) as mounted:
        yield mounted


@pytest.fixture
async def cramped(
    disk: Disk, nursery: Nursery, tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> AsyncIterator[Arena]:
    """An arena whose server has all its files on the small disk."""
    server = FaultServer(disk.folder / "server", settings=_SETTINGS)
    nursery.guard(disk.folder / "server")
    try:
        await asyncio.to_thread(server.create)
        opened = Arena(server, nursery, tmp_path, seed=seed)
        try:
            await opened.open()
            async with deadline(sized(600, 3600), request.node.originalname, opened.state):
                yield opened
        finally:
            told = {"seed": seed, **opened.faults, **opened.figures}
            request.node.user_properties += list(told.items())
            await opened.close()
    finally:
        server.destroy()


async def publish(arena: Arena) -> None:
    settings = Settings(database_url=arena.dsn, auth="local")
    opened = FlowBuilder.connect(settings=settings, registry=arena.registry, worker=False)
    async with opened as builder:
        await builder.save_flow(_DOCUMENT)
        await builder.publish(SLUG)


def text_of(number: int) -> str:
    """Return a text that no compression makes much smaller."""
    return random.Random(number).randbytes(_BYTES // 2).hex()


async def assert_all_done(arena: Arena, senders: Senders) -> None:
    """Every start that was answered has been carried out, with one effect each."""
    runs = await arena.ended(seconds=120)
    wrong = [(run.id, run.error) for run in runs if run.error is not None]
    assert not wrong, f"{len(wrong)} of {len(runs)} runs failed: {wrong[:3]}"
    numbers = {run.id: run.output for run in runs}
    assert {key: f"start {numbers[run]}" for key, run in senders.runs.items()} == {
        key: key for key in senders.runs
    }
    row = await arena.database.fetch_one(b"select count(*) as n from flowbuilder.runs")
    assert row == {"n": len(senders.runs)}, "a start has made a run that nobody was told of"
    assert await arena.database.fetch_all(_EFFECTS) == []
    row = await arena.database.fetch_one(b"select count(*) as n from public.effects")
    assert row == {"n": len(senders.runs)}


async def test_f37_the_disk_is_full_under_a_running_service(
    cramped: Arena, disk: Disk, services: Services
) -> None:
    """F37: first no table can grow, then the server itself cannot go on and stays down; service and
    workers live through both. Whoever asks is told that the disk is full, and when there is room
    again all goes on: nothing that was answered is lost, nothing is done twice."""
    arena = cramped
    await publish(arena)
    workers = [arena.worker(lease=5.0) for _ in range(2)]
    await arena.joined(*workers)
    service = await services.start(arena)
    async with Senders(arena, service) as senders:
        senders.begin(lambda n: senders.start(SLUG, n, text=text_of(n)), at_once=4)
        for _ in range(sized(1, 10)):
            await senders.progress(10)
            async with await psycopg.AsyncConnection.connect(
                arena.dsn, autocommit=True, application_name="faults"
            ) as log:
                disk.fill()
                told = senders.refused["disk_full"]
                await senders.until(
                    lambda: senders.refused["disk_full"] > told + 8,  # noqa: B023
                    what="it finds room",
                )
                arena.fired("refused for want of room", senders.refused["disk_full"] - told)
                assert all(worker.alive for worker in workers)
                if not LONG or arena.dice.random() < 0.5:
                    await _fill_the_log(log)
                    arena.fired("crash of the server for want of room")
            disk.free()
            await _revive(arena)
        await senders.progress(10)
        await senders.enough()
    assert service.process.poll() is None and all(worker.alive for worker in workers)
    await arena.hold(lambda: is_ready(service), what="it is not ready again")
    await asyncio.to_thread(service.stop)
    arena.figure(runs=len(senders.runs), refused=dict(senders.refused), again=senders.unanswered)
    await assert_all_done(arena, senders)
    await arena.check()


async def _revive(arena: Arena) -> None:
    """Bring the server up again, unless it comes by itself."""

    async def answers() -> bool:
        try:
            alive = is_alive(arena.server.postmaster)
        except (OSError, ValueError):  # it has left no file either
            alive = False
        if not alive:
            await asyncio.to_thread(arena.server.start)
        try:
            return bool(await arena.database.fetch_all(b"select 1"))
        except DatabaseUnavailable:
            return False

    await arena.hold(answers, what="the server does not come up")


async def _fill_the_log(log: psycopg.AsyncConnection[Any]) -> None:
    """Let the server need more of its log than it has room for, until it can go on no longer."""
    for _ in range(50):
        try:
            await log.execute("select pg_logical_emit_message(false, 'fault', 'x')")
            await log.execute("select pg_switch_wal()")
        except psycopg.OperationalError:
            return
    raise AssertionError("the server always found room for its log")


async def test_f37_the_database_is_read_only_for_a_while(arena: Arena, services: Services) -> None:
    """F37: a provider protects a full database from writes, or a standby answers for a while: no
    outcome of work that was done is thrown away, and who asks is told to come again."""
    await publish(arena)
    workers = [arena.worker(lease=60.0) for _ in range(2)]
    await arena.joined(*workers)
    service = await services.start(arena)
    async with Senders(arena, service) as senders:
        senders.begin(lambda n: senders.start(SLUG, n, text=n), at_once=4)
        for _ in range(sized(2, 20)):
            await senders.progress(10)
            told = senders.refused["database_read_only"]
            await _protect(arena, "on")
            await senders.until(
                lambda: senders.refused["database_read_only"] > told + 8,  # noqa: B023
                what="it is written to",
            )
            arena.fired("refused by a database that is read-only")
            await asyncio.sleep(arena.dice.uniform(0.1, 0.5))
            await _protect(arena, "off")
        await senders.progress(10)
        await senders.enough()
    assert service.process.poll() is None and all(worker.alive for worker in workers)
    await asyncio.to_thread(service.stop)
    arena.figure(runs=len(senders.runs), refused=dict(senders.refused), again=senders.unanswered)
    await assert_all_done(arena, senders)
    await arena.check()


async def _protect(arena: Arena, switch: str) -> None:
    """Make everything read-only, or writable again, for all sessions, as a provider does."""

    def protect() -> None:
        name = psycopg.conninfo.conninfo_to_dict(arena.dsn)["dbname"]
        with psycopg.connect(arena.server.dsn, autocommit=True) as connection:
            connection.execute(
                f"alter database {name} set default_transaction_read_only = {switch}".encode()
            )
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
            )

    await asyncio.to_thread(protect)
