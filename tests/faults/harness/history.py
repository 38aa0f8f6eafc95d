"""A database with a past: ended runs in any number, delayed tasks, a queue that is full."""

from __future__ import annotations

from dataclasses import dataclass

from flowbuilder.executor.database import Database
from tests.support.engine import Engine, done, flow_of

#: Elements of one run, ended or delayed, at most: no call may look at all of a run's.
_WIDTH = 4
_DELAYED_WIDTH = 1000
_ENDED = b"""
with model as (
    select r.*, t.tool, t.node_id from flowbuilder.runs r
    join flowbuilder.tasks t on t.run_id = r.id limit 1
),
fresh as (
    insert into flowbuilder.runs (id, workspace_id, version_id, flow, version, status, input,
        output, remaining_steps, last_seq, created_at, started_at, finished_at, deadline_at)
    select (flowbuilder.new_ids(1, now() - make_interval(secs => n)))[1], m.workspace_id,
           m.version_id, m.flow, m.version, 'completed', 'null', '{}', 0, %(width)s,
           now() - make_interval(secs => n), now(), now(), now() + interval '1 day'
    from model m, generate_series(1, %(runs)s) n
    returning id
),
steps as (
    insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status, remaining_deps,
        task_count, remaining_tasks, output, started_at, finished_at)
    select f.id, 0, 'a', m.node_id, 'completed', 0, %(width)s, 0, 'null', now(), now()
    from fresh f, model m
),
events as (
    insert into flowbuilder.events (stream, seq, workspace_id, type, run_id, at, data)
    select f.id, n, m.workspace_id, 'task_progress', f.id, now(), '{}'
    from fresh f, model m, generate_series(1, %(width)s) n
),
decided as (
    insert into flowbuilder.approvals (workspace_id, run_id, task_id, step_id, kind, status, tool,
        args, args_hash, approvers, requested_at, deadline_at, on_deadline, decided_at)
    select m.workspace_id, f.id, 1, 'a', 'gate', 'approved', m.tool, '{}', 'x', '{}', now(), now(),
        'reject', now()
    from fresh f, model m
)
insert into flowbuilder.tasks (run_id, position, element, kind, status, step_id, node_id, tool,
    output, worker_id, finished_at)
select f.id, 0, n, 'step', 'completed', 'a', m.node_id, m.tool, 'null', gen_random_uuid(), now()
from fresh f, model m, generate_series(1, %(width)s) n
"""
#: Retries that are due in an hour or later, in runs that are under way.
_DELAYED = b"""
with model as (
    select r.*, t.tool, t.node_id from flowbuilder.runs r
    join flowbuilder.tasks t on t.run_id = r.id limit 1
),
fresh as (
    insert into flowbuilder.runs (id, workspace_id, version_id, flow, version, status, input,
        remaining_steps, created_at, started_at, deadline_at)
    select (flowbuilder.new_ids(1, now()))[1], m.workspace_id, m.version_id,
           m.flow, m.version, 'running', 'null', 1, now(), now(), now() + interval '10 days'
    from model m, generate_series(1, %(runs)s) n
    returning id
),
steps as (
    insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status, remaining_deps,
        task_count, remaining_tasks, started_at)
    select f.id, 0, 'a', m.node_id, 'running', 0, %(width)s, %(width)s, now()
    from fresh f, model m
)
insert into flowbuilder.tasks
    (run_id, position, element, kind, status, step_id, node_id, tool, attempt, available_at)
select f.id, 0, n, 'step', 'queued', 'a', m.node_id, m.tool, 1,
    now() + make_interval(secs => 3600 + n)
from fresh f, model m, generate_series(1, %(width)s) n
"""
#: What is open is older than a second, and upkeep has seen it.
_SEEN = [
    b"update flowbuilder.runs set watched = true where finished_at is null",
    b"update flowbuilder.watch set seen_at = flowbuilder.now(), soon = null, noted = null,"
    b" beginning = flowbuilder.first_id(flowbuilder.now())",
]
#: The server counts the rows of these no more.
_UNCOUNTED = [
    f"alter table {table} set (autovacuum_enabled = off)".encode()
    for table in (
        "flowbuilder.runs",
        "flowbuilder.run_steps",
        "flowbuilder.tasks",
        "flowbuilder.events",
        "flowbuilder.approvals",
        "pgmq.q_flowbuilder_tasks",
    )
]


@dataclass(frozen=True, kw_only=True)
class History:
    """How much of everything there is."""

    ended: int
    """Tasks of ended runs; as many events."""
    delayed: int
    ready: int
    """Runs whose only task is in the queue."""


async def remember(database: Database, history: History, *, known: bool = True) -> Engine:
    """Fill a database; returns an engine with a worker.

    `known`: whether the server has counted what there is now.
    """
    engine = Engine(database)
    await engine.join()
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    await engine.store.start_runs(version.id, [None], timeout_seconds=3600)
    answer = await engine.exchange()
    await engine.exchange([done(task) for task in answer.tasks])
    async with database.transaction() as connection:
        await connection.execute(b"set local statement_timeout = 0")
        await connection.execute(_ENDED, {"runs": history.ended // _WIDTH, "width": _WIDTH})
        width = min(history.delayed, _DELAYED_WIDTH)
        await connection.execute(_DELAYED, {"runs": history.delayed // width, "width": width})
    for begin in range(0, history.ready, 1000):
        inputs = [None] * min(1000, history.ready - begin)
        await engine.store.start_runs(version.id, inputs, timeout_seconds=36_000)
    for statement in _SEEN:
        await database.execute(statement)
    if known:
        async with database.connection() as connection:
            await connection.execute(b"set statement_timeout = 0")
            await connection.execute(b"vacuum analyze")
            await connection.execute(b"reset statement_timeout")
    return engine


async def leave_uncounted(database: Database) -> None:
    """Keep the server from counting what there is."""
    for statement in _UNCOUNTED:
        await database.execute(statement)
