"""What must hold whatever happened: the invariants of the architecture, by the tables' columns
and by the ledger outside."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import psycopg
from psycopg.rows import dict_row

from flowbuilder.executor.database import Database
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.store import Store
from tests.faults.harness.ledger import Entry, Ledger
from tests.support.engine import Engine

#: I4: whoever leaves a terminal state is written down by the database itself.
AUDIT = """
create table public.resurrections (what text, id text, before text, after text);
create function public.note_resurrection() returns trigger language plpgsql as $$
begin
    insert into public.resurrections
    values (tg_table_name, old.id::text, old.status, new.status);
    return null;
end $$;
create trigger noticed after update on flowbuilder.runs for each row
    when (old.finished_at is not null and (old.status, old.output::text, old.error::text)
          is distinct from (new.status, new.output::text, new.error::text))
    execute function public.note_resurrection();
create trigger noticed after update on flowbuilder.tasks for each row
    when (old.finished_at is not null and old.status is distinct from new.status)
    execute function public.note_resurrection();
"""

_LEFT_OVER = b"""
select (select count(*) from flowbuilder.tasks where lease_until is not null) as leases,
       (select count(*) from flowbuilder.approvals where status = 'pending') as approvals,
       (select count(*) from public.resurrections) as resurrections
"""
_UNCOMMITTED = b"""
select t.run_id::text, t.id from flowbuilder.tasks t
left join flowbuilder.events e
  on e.stream = t.run_id and e.task_id = t.id and e.type = 'task_completed'
where t.status = 'completed' and t.kind = 'step'
group by t.run_id, t.id having count(e.seq) <> 1
"""
_EARLY = b"""
select s.run_id::text, s.step_id, d.step_id as before
from flowbuilder.run_steps s
join flowbuilder.runs r on r.id = s.run_id
join flowbuilder.version_steps v on v.version_id = r.version_id and v.position = s.position
join flowbuilder.run_steps d on d.run_id = s.run_id and d.position = any (v.depends_on)
where v.trigger_rule <> 'one_success' and s.started_at is not null and d.finished_at is null
"""
_DEPENDS = b"""
select s.step_id, d.step_id as before from flowbuilder.runs r
join flowbuilder.version_steps s on s.version_id = r.version_id
join flowbuilder.version_steps d
  on d.version_id = r.version_id and d.position = any (s.depends_on)
where r.id = %s::uuid and s.trigger_rule <> 'one_success'
"""


async def assert_invariants(database: Database, ledger: Ledger, runs: Iterable[str]) -> None:
    """Assert I1 to I7 of these acknowledged runs, with every worker at rest or gone."""
    store, engine = Store(database), Engine(database)
    by_run: dict[str, list[Entry]] = defaultdict(list)
    for entry in ledger.read():
        by_run[entry.run].append(entry)
    for run_id in runs:
        run = await store.get_run(run_id)
        assert run.status.terminal, f"I1: run {run_id} is {run.status}"
        await _assert_stream(database, store, run_id, by_run[run_id])
    uncommitted = await database.fetch_all(_UNCOMMITTED)
    assert uncommitted == [], f"I2: not completed exactly once: {uncommitted[:5]}"
    early = await database.fetch_all(_EARLY)
    assert early == [], f"I3: started too early: {early[:5]}"
    await _assert_at_rest(engine)
    left = await database.fetch_one(_LEFT_OVER)
    assert left == {"leases": 0, "approvals": 0, "resurrections": 0}, f"I4, I6: {left}"


async def _assert_at_rest(engine: Engine) -> None:
    try:
        await engine.at_rest()
    except AssertionError as error:
        raise AssertionError(
            "I5, I6: a counter differs from the recount, or something is left over"
        ) from error


async def _assert_stream(
    database: Database, store: Store, run_id: str, entries: list[Entry]
) -> None:
    events = await all_events(store, run_id)
    seqs = [event.seq for event in events]
    assert seqs == list(range(1, len(events) + 1)), f"I7: run {run_id} has a gap: {seqs}"
    terminal = [event for event in events if event.terminal]
    assert terminal == events[-1:], f"I7: terminal events of {run_id}: {terminal}"
    middle = len(events) // 2
    assert await store.events(run_id, after=middle, limit=10_000) == events[middle:][:10_000]
    completed = Counter(e.task_id for e in events if e.type == "task_completed" and e.task_id)
    doubled = [task for task, count in completed.items() if count != 1]
    assert doubled == [], f"I2: completed more than once in run {run_id}: {doubled}"
    depends = await database.fetch_all(_DEPENDS, (run_id,))
    pairs = [(str(row["step_id"]), str(row["before"])) for row in depends]
    _assert_order(events, pairs)
    _assert_order_outside(entries, pairs)


def _assert_order(events: list[EventRow], pairs: list[tuple[str, str]]) -> None:
    """I3 by the stream: the last word of what comes before is older than the first start."""
    started: dict[str, int] = {}
    ended: dict[str, int] = defaultdict(int)
    for event in events:
        if event.step_name is None:
            continue
        if event.type == "task_started":
            started.setdefault(event.step_name, event.seq)
        elif event.type in ("task_completed", "task_failed", "task_skipped"):
            ended[event.step_name] = event.seq
    for step, before in pairs:
        if step in started:
            assert ended[before] < started[step], f"I3: {step} began before {before} had ended"


def _assert_order_outside(entries: list[Entry], pairs: list[tuple[str, str]]) -> None:
    """I3 by the ledger: no handler begins before one try of each earlier task is through."""
    entered: dict[str, float] = {}
    through: dict[str, dict[int | None, float]] = defaultdict(dict)
    for entry in entries:
        if entry.what == "enter":
            entered.setdefault(entry.step, entry.at)
        else:
            through[entry.step].setdefault(entry.index, entry.at)
    for step, before in pairs:
        for at in through[before].values():
            assert step not in entered or at <= entered[step], f"I3: {step} before {before}"


async def all_events(store: Store, run_id: str) -> list[EventRow]:
    """Read a whole stream, page by page."""
    events: list[EventRow] = []
    while page := await store.events(run_id, after=events[-1].seq if events else 0, limit=2000):
        events += page
    return events


async def assert_nobody_left(dsn: str) -> None:
    """I6: the workers that stopped hold no connection, no lock, no listener."""
    async with await psycopg.AsyncConnection.connect(
        dsn, autocommit=True, row_factory=dict_row
    ) as connection:
        cursor = await connection.execute(_SESSIONS)
        assert await cursor.fetchall() == []
        cursor = await connection.execute(
            "select * from pg_locks where locktype = 'advisory' and database ="
            " (select oid from pg_database where datname = current_database())"
        )
        assert await cursor.fetchall() == []


_SESSIONS = """
select pid, application_name, state, query from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
  and application_name <> 'faults'
"""
