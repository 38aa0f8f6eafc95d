"""What the engine asks of a database with a long history finds its rows by indexes."""

from __future__ import annotations

import re

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, retry, waiting
from tests.support.one_connection import OneConnection

FINISHED_RUNS = 20_000
DELAYED_TASKS = 5_000
#: Of the finished runs, for retention to delete.
OLD_RUNS = 1_200
#: Tables that grow with the history or the load; an index read without a condition is no better
#: than the table, unless it is a partial one that stays small.
_GROWING = re.compile(
    r"Seq Scan on (?:\w+\.)?"
    r"(runs|run_steps|tasks|events|approvals|event_slots|q_flowbuilder_tasks)\b"
    r"|Index (?:Only )?Scan using "
    r"(?!\w+_(?:held|due|pending|owned|deadline|task|blocked|watched)\b)"
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
#: One queue is full, and has much to come.
_UNREAD = b"""
with full_up as (select pgmq.send('full', '{}'::jsonb) from generate_series(1, 20))
insert into flowbuilder.deliveries (queue, stream, seq)
select 'full', e.stream, e.seq from flowbuilder.events e, (select count(*) from full_up) f
where e.run_id is not null limit 50000
"""
_EMITTED = b"""
insert into flowbuilder.event_slots (workspace_id, name, key, payload, emitted_at, expires_at)
select w.id, 'old', n::text, '0', now(), now() + interval '1 day'
from flowbuilder.workspaces w, generate_series(1, %(tasks)s) n
"""
#: Rounds of waits, each with a run.
WAITS = 7
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
        for statement in (_DELAYED, _UNWANTED, _APPROVALS, _EMITTED):
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
        watched = Engine(OneConnection(connection))  # type: ignore[arg-type]
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
        await _wait_for_events(watched)
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
    assert (
        len(await engine.store.list_runs(limit=1_000_000)) == FINISHED_RUNS + 13 + WAITS - OLD_RUNS
    )
    read = [plan for plan in plans if "cost=" in plan]
    assert len(read) > 1000
    bad = {plan for plan in read if _GROWING.search(plan)}
    assert not bad, "\n\n".join(sorted(bad))
    # Of thousands of waits only those at one slot are looked at. (An empty list of runs is taken
    # for anything: nothing is read then.)
    listening = [p for p in read if "tasks_listening" in p and "ANY ('{}'" not in p]
    assert listening and all("Index Cond: (slot =" in plan for plan in listening)


async def _wait_for_events(engine: Engine) -> None:
    """Let tasks wait for events that come before, after or never."""
    for turn in range(WAITS):
        run = await engine.start(flow_of({"id": "m", "for_each": "${{ input }}"}), [0, 1, 2, 3])
        await engine.store.emit("go", f"{turn}.0", 0, keep_seconds=60)
        for _ in range(10):
            tasks = (await engine.exchange(free=4)).tasks
            await engine.exchange([_listen(t, turn) if t.run_id == run else done(t) for t in tasks])
        assert (await engine.store.emit("go", f"{turn}.1", 1, keep_seconds=60)).woke == 1
        await engine.store.tick()
        await engine.store.tick()


def _listen(task: LeasedTask, turn: int) -> Outcome:
    wait: JsonObject = {"kind": "event", "name": "go", "key": f"{turn}.{task.index}"}
    return waiting(task, **wait, timeout_seconds=0 if task.index == 2 else 600)


async def test_delivering_to_subscribers_finds_its_rows_by_indexes(engine: Engine) -> None:
    plans: list[str] = []
    for queue in ("full", "fresh"):
        await engine.store.subscribe(queue, "task_events.*", largest=10)
    await engine.database.execute(_UNREAD)
    async with engine.database.connection() as connection:
        connection.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
        for statement in _EXPLAIN:
            await connection.execute(statement.encode())
        watched = Engine(OneConnection(connection))  # type: ignore[arg-type]
        for turn in range(8):
            if turn == 1:  # the first time, nothing is known of the tables
                await connection.execute(b"analyze flowbuilder.deliveries, pgmq.q_full")
            await engine.database.execute(
                b"insert into flowbuilder.deliveries (queue, stream, seq)"
                b" select 'fresh', stream, seq from flowbuilder.deliveries limit 1"
            )
            await watched.store.deliver()
            taken = await watched.store.take_messages("fresh", limit=5, seconds=30)
            await watched.store.delete_messages("fresh", [row["msg_id"] for row in taken])
            assert len(taken) == 1
        await connection.execute(b"set client_min_messages = notice")
    read = [plan for plan in plans if "cost=" in plan]
    assert len(read) > 40
    bad = {plan for plan in read if _GROWING.search(plan) or "Seq Scan on deliveries" in plan}
    assert not bad, "\n\n".join(sorted(bad))
