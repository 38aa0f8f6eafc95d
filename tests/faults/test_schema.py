"""The schema changes while workers work, and many bring it about at once."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import suppress
from pathlib import Path

from flowbuilder.executor.migrator import migrate
from tests.conftest import MIGRATIONS
from tests.faults.harness.arena import LONG, Arena, Worker, chain, fan, sized
from tests.support.catalog import catalog

_LATER = """
alter table flowbuilder.runs add column later text;
create index runs_later on flowbuilder.runs (later) where later is not null;
create table flowbuilder.later (id bigint primary key);
"""
_WAITING = b"""
select coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0)::float8 as seconds
from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"""
_HOLDER = b"""
select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and a.datname = %s"""


async def test_f58_a_newer_schema_comes_while_workers_run(arena: Arena, tmp_path: Path) -> None:
    """F58: every function is replaced and a table changes under load; workers of the version
    before go on, also those that start afterwards."""
    newer = _newer(tmp_path)
    workers = [arena.worker() for _ in range(2)]
    await arena.joined(*workers)
    for _ in range(sized(6, 40)):
        await arena.start(fan(sized(30, 100), ms=10))
    gate = arena.folder / "gate"
    await arena.start(fan(2, tool="fault.hold", args={"gate": str(gate)}))
    await arena.hold(lambda: arena.ledger.count() > 20, what="they do not begin")
    watching = asyncio.create_task(_longest_wait(arena))
    report = await migrate(arena.dsn, folder=newer)
    watching.cancel()
    longest = await watching
    gate.touch()
    assert report.applied == ["9000_later"]
    arena.fired("function replaced under load", len(report.functions))
    arena.figure(longest_lock_wait=round(longest, 2))
    if LONG:
        assert longest < 1.0
    workers[0].terminate()
    arena.worker()
    await arena.connect()
    await arena.start(chain(3), 1)
    await arena.outputs()
    await arena.check()


async def test_f58_clients_of_the_version_before_go_on(arena: Arena, tmp_path: Path) -> None:
    """F58: whoever read runs before a table got another column reads them afterwards."""
    arena.worker()
    run_id = await arena.start(chain(2), 1)
    await arena.outputs()
    for _ in range(20):
        await asyncio.gather(*(arena.store.get_run(run_id) for _ in range(4)))
    report = await migrate(arena.dsn, folder=_newer(tmp_path))
    arena.fired("changed table", len(report.applied))
    for _ in range(20):
        assert (await arena.store.get_run(run_id)).id == run_id
    await arena.check()


async def _longest_wait(arena: Arena) -> float:
    """Return, when cancelled, how many seconds somebody at most has waited for a lock."""
    longest = 0.0
    with suppress(asyncio.CancelledError):
        while True:
            row = await arena.database.fetch_one(_WAITING)
            longest = max(longest, row["seconds"] if row else 0.0)
            await asyncio.sleep(0.01)
    return longest


def _newer(folder: Path) -> Path:
    """Return the migrations of a later version: a changed table, and every function anew."""
    newer = folder / "newer"
    shutil.copytree(MIGRATIONS, newer)
    (newer / "9000_later.sql").write_text(_LATER, encoding="utf-8")
    for path in (newer / "functions").glob("*.sql"):
        path.write_text(path.read_text(encoding="utf-8") + "-- newer\n", encoding="utf-8")
    return newer


async def test_f59_many_processes_make_the_schema_at_once(arena: Arena) -> None:
    """F59: twenty at once on an empty database, some killed, the one at work cut off: the others
    bring it about, once."""
    dsn = arena.server.empty_database()
    name = dsn.rsplit("/", 1)[1]
    processes = [arena.worker(dsn=dsn, job="migrate") for _ in range(20)]
    cut = 0
    deadline = time.monotonic() + 20
    while not cut and time.monotonic() < deadline:
        cut = len(await arena.database.fetch_all(_HOLDER, (name,)))
        await asyncio.sleep(0.002)
    arena.fired("cut off while migrating", cut)
    victims = arena.dice.sample([one for one in processes if one.alive], 3)
    for victim in victims:
        victim.kill()
    for process in processes:
        await process.gone()
    finished = [one for one in processes if _is_done(arena, one)]
    assert len(finished) >= len(processes) - len(victims) - cut
    template = arena.server.dsn_of("faults_template")
    schemas = ("flowbuilder", "pgmq")
    assert await asyncio.to_thread(catalog, dsn, *schemas) == await asyncio.to_thread(
        catalog, template, *schemas
    )
    arena.server.drop(dsn)


def _is_done(arena: Arena, worker: Worker) -> bool:
    return (arena.folder / f"{worker.orders.name}.done").exists()
