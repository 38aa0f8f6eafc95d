"""What the engine asks of a database with a long history finds its rows by indexes."""

from __future__ import annotations

import re

import pytest
from psycopg.rows import DictRow

from flowbuilder.executor.database import Connection, Database, Parameters
from tests.support.engine import Engine, done, failed, flow_of, retry

FINISHED_RUNS = 20_000
DELAYED_TASKS = 5_000
#: Of the finished runs, for retention to delete.
OLD_RUNS = 1_200
#: Tables that grow with the history or the load; an index read without a condition is no better
#: than the table, unless it is a partial one that stays small.
_GROWING = re.compile(
    r"Seq Scan on (?:\w+\.)?(runs|run_steps|tasks|events|approvals|q_flowbuilder_tasks)\b"
    r"|Index (?:Only )?Scan using (?!\w+_(?:held|due|pending|owned|deadline|task|blocked)\b)"
    r"\S+ on (?:\w+\.)?(runs|run_steps|tasks|events|approvals)\b[^\n]*\n(?!\s*Index Cond)"
)

_HISTORY = b"""
with model as (
    select r.*, t.tool, t.node_id from flowbuilder.runs r
    join flowbuilder.tasks t on t.run_id = r.id limit 1
),
fresh as (
    insert into flowbuilder.runs (workspace_id, version_id, flow, version, status, input, output,
        remaining_steps, created_at, started_at, finished_at, deadline_at)
    select m.workspace_id, m.version_id, m.flow, m.version, 'completed', 'null', '{}', 0,
           now() - make_interval(secs => n), now(), now(), now() + interval '1 day'
    from model m, generate_series(1, %(runs)s) n
    returning id
),
steps as (
    insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status, remaining_deps,
        task_count, remaining_tasks, output, started_at, finished_at)
    select f.id, 0, 'a', m.node_id, 'completed', 0, 1, 0, 'null', now(), now()
    from fresh f, model m
),
events as (
    insert into flowbuilder.events (stream, seq, workspace_id, type, run_id, at, data)
    select f.id, n, m.workspace_id, 'task_progress', f.id, now(), '{}'
    from fresh f, model m, generate_series(1, 3) n
)
insert into flowbuilder.tasks (run_id, position, kind, status, step_id, node_id, tool, worker_id,
    finished_at)
select f.id, 0, 'step', 'completed', 'a', m.node_id, m.tool, gen_random_uuid(), now()
from fresh f, model m
"""
_DELAYED = b"""
insert into flowbuilder.tasks
    (run_id, position, element, kind, status, step_id, node_id, tool, available_at)
select r.id, 0, 100 + n, 'step', 'queued', 'a', t.node_id, t.tool,
    now() + make_interval(secs => 1000 + n)
from (select * from flowbuilder.runs where status = 'running' limit 1) r
join flowbuilder.tasks t on t.run_id = r.id, generate_series(1, %(tasks)s) n
"""
#: Nobody has their tool, so they stay in front of everything else in the queue.
_UNWANTED = b"""
with sent as (
    insert into pgmq.q_flowbuilder_tasks (vt, message)
    select now(), jsonb_build_object('task', t.id) from flowbuilder.tasks t
    where t.status = 'queued' and t.message_id is null order by t.id limit %(tasks)s / 2
    returning msg_id, (message ->> 'task')::bigint as task_id
)
update flowbuilder.tasks t set message_id = s.msg_id, tool = 'nobody@1'
from sent s where t.id = s.task_id
"""
_AGED = b"""
update flowbuilder.runs r
set created_at = now() - interval '2 days', finished_at = now() - interval '1 day'
from (select id from flowbuilder.runs where finished_at is not null limit %(runs)s) o
where r.id = o.id
"""
_APPROVALS = b"""
insert into flowbuilder.approvals (workspace_id, run_id, task_id, step_id, kind, status, tool, args,
    args_hash, approvers, requested_at, deadline_at, on_deadline, decided_at)
select r.workspace_id, r.id, 1, 'a', 'gate', 'approved', 'work@1', '{}', 'x', '{}', now(), now(),
    'reject', now()
from flowbuilder.runs r limit %(tasks)s
"""
_EXPLAIN = (
    "load 'auto_explain'",
    "set auto_explain.log_min_duration = 0",
    "set auto_explain.log_nested_statements = on",
    "set client_min_messages = log",
)


@pytest.fixture
async def engine(database: Database) -> Engine:
    engine = Engine(database)
    await engine.join()
    await engine.start(flow_of({"id": "a"}))
    await engine.exchange(free=1, lease=10_000)
    async with database.transaction() as connection:
        await connection.execute(_HISTORY, {"runs": FINISHED_RUNS})
        await connection.execute(_AGED, {"runs": OLD_RUNS})
        for statement in (_DELAYED, _UNWANTED, _APPROVALS):
            await connection.execute(statement, {"tasks": DELAYED_TASKS})
    await database.execute(b"analyze")
    return engine


async def test_no_call_of_the_engine_reads_a_growing_table_from_end_to_end(engine: Engine) -> None:
    flow = flow_of(
        {"id": "m", "for_each": "${{ input }}", "on_error": "continue", "concurrency": 4},
        {"id": "n", "for_each": "${{ steps.m }}", "when": "true"},
        output="${{ steps.m }}",
    )
    await engine.join()
    plans: list[str] = []
    async with engine.database.connection() as connection:
        connection.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
        for statement in _EXPLAIN:
            await connection.execute(statement.encode())
        watched = Engine(_OneConnection(connection))  # type: ignore[arg-type]
        watched.worker = engine.worker
        for _ in range(4):
            await watched.start(flow, list(range(8)))
        answer = await watched.exchange(free=5)
        for turn in range(30):  # more than five: prepared statements get their general plans
            report = [
                retry(t, delay=0.01) if t.index == 3 and t.attempt == 1
                else failed(t) if t.index == 5 else done(t, t.index)
                for t in answer.tasks
            ]  # fmt: skip
            answer = await watched.exchange(report, free=5)
            if turn % 3 == 0:
                await watched.store.tick()
        for run in (await watched.store.list_runs(limit=4))[::-1] * 2:
            await watched.store.why(run.id)
            if not (await watched.run(run.id)).status.terminal:
                await watched.store.cancel_run(run.id)
            again = await watched.store.retry_run(run.id, from_step="m")
            await watched.store.why(again.run_id or "")
        for _ in range(2):
            pruned = await watched.store.prune(older_than_seconds=43200, page=500)
        await watched.store.stop_worker(watched.worker)
        await connection.execute(b"set client_min_messages = notice")
    assert pruned.runs == 0
    assert len(await engine.store.list_runs(limit=1_000_000)) == FINISHED_RUNS + 13 - OLD_RUNS
    read = [plan for plan in plans if "cost=" in plan]
    assert len(read) > 1000
    bad = {plan for plan in read if _GROWING.search(plan)}
    assert not bad, "\n\n".join(sorted(bad))


class _OneConnection:
    """Stands for a `Database` whose every statement goes over the same connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch_all(self, query: bytes, values: Parameters = ()) -> list[DictRow]:
        cursor = await self._connection.execute(query, values)
        return await cursor.fetchall()
