"""Every statement the store sends: calls of the SQL functions, and plain reads."""

from __future__ import annotations

from typing import Final

_RUN: Final = b"""select r.* from flowbuilder.runs r where r.workspace_id = %s"""

CREATE_FLOW: Final = b"select * from flowbuilder.create_flow(%s, %s)"
SAVE_DRAFT: Final = b"select * from flowbuilder.save_draft(%s, %s, %s::uuid)"
APPEND_STEP: Final = b"select * from flowbuilder.append_step(%s, %s, %s::uuid, %s)"
_FLOW: Final = b"""
    select f.slug, flowbuilder.whole_draft(f) as draft, f.head, f.revision, f.created_at,
        f.updated_at, f.archived_at
    from flowbuilder.flows f where f.workspace_id = %s"""
GET_FLOW: Final = _FLOW + b" and f.slug = %s"
LIST_FLOWS: Final = _FLOW + b" order by f.slug"
DELETE_FLOW: Final = b"""
    delete from flowbuilder.flows
    where workspace_id = %s and slug = %s and revision = coalesce(%s::uuid, revision)
    returning slug"""
ARCHIVE_FLOW: Final = b"""
    update flowbuilder.flows f
    set archived_at = case when %s then coalesce(archived_at, flowbuilder.now()) end,
        revision = gen_random_uuid(), updated_at = flowbuilder.now()
    where workspace_id = %s and slug = %s
    returning f.*, flowbuilder.whole_draft(f) as draft"""
REGISTER_VERSION: Final = (
    b"select * from flowbuilder.register_version(%s, %s, %s, %s, %s, %s, %s::uuid, %s::uuid)"
)
GET_VERSION: Final = b"""
    select * from flowbuilder.flow_versions
    where workspace_id = %s and slug = %s and origin = 'published'
      and (%s::integer is null or version = %s::integer)
    order by version desc limit 1"""
GET_VERSION_BY_ID: Final = (
    b"select * from flowbuilder.flow_versions where workspace_id = %s and id = %s::uuid"
)
LIST_VERSIONS: Final = b"""
    select * from flowbuilder.flow_versions
    where workspace_id = %s and slug = %s and origin = 'published' order by version desc"""

START_RUNS: Final = b"""
    select flowbuilder.start_runs(%s, %s::uuid, array(select json_array_elements(%s::json)),
        %s::text[], %s::float8, %s::uuid, %s, %s, null, %s::uuid, %s, %s::float8, %s, %s)
        as answer"""
#: A row for each of the runs that there is; of an open one, all but its id is null.
ENDED_RUNS: Final = b"""
    select r.id as asked, (o.run).* from flowbuilder.runs r
    cross join lateral (select case when r.finished_at is not null then r end as run) o
    where r.workspace_id = %s and r.id = any (%s::uuid[])"""
WORKSPACE_OF_RUN: Final = b"select workspace_id from flowbuilder.runs where id = %s::uuid"
GET_RUN: Final = _RUN + b" and r.id = %s::uuid"
_RUNS: Final = b"""
    with given as (
        select %s::uuid as workspace, %s::text as flow, %s::text as status, %s::uuid as before),
    {candidates}
    select r.* from candidates r cross join given g
    where r.workspace_id = g.workspace and {wanted}
      and (g.flow is null or r.flow = g.flow)
      and (g.status is null or r.status = g.status)
      and (g.before is null or (r.created_at, r.id) < (
            select b.created_at, b.id from flowbuilder.runs b
            where b.id = g.before and b.workspace_id = g.workspace))
    order by r.created_at desc, r.id desc limit %s"""


def _listing(wanted: bytes) -> bytes:
    candidates = b"candidates as not materialized (select * from flowbuilder.runs)"
    return _RUNS.replace(b"{candidates}", candidates).replace(b"{wanted}", wanted)


LIST_RUNS: Final = _listing(b"true")
#: For one flow, however few of all the runs are its.
LIST_RUNS_OF_FLOW: Final = _listing(b"r.flow = g.flow")
#: For failed and cancelled runs, however few of all they are.
LIST_SETBACKS: Final = _listing(b"r.setback = g.status and r.setback is not null")
#: For the states of open runs: those are few.
LIST_OPEN_RUNS: Final = _RUNS.replace(b"{wanted}", b"true").replace(
    b"{candidates}",
    b"""candidates as materialized (
        select r.* from given g cross join lateral flowbuilder.open_run_ids(g.workspace) o (id)
        join flowbuilder.runs r on r.id = o.id)""",
)
RUN_STEPS: Final = b"""
    select s.*, v.tool from flowbuilder.runs r
    join flowbuilder.run_steps s on s.run_id = r.id
    join flowbuilder.version_steps v on v.version_id = r.version_id and v.position = s.position
    where r.workspace_id = %s and r.id = %s::uuid order by s.position"""
RUN_TASKS: Final = b"""
    select t.id, t.run_id, t.step_id, t.element, t.kind, t.status, t.tool, t.attempt, t.fence,
        t.worker_id, t.available_at, t.error, t.started_at, t.finished_at,
        case when t.status <> 'completed' then null when t.element >= 0 then t.output
        when t.kind = 'finish' then r.output when t.kind = 'step' then s.output end as output
    from flowbuilder.runs r
    join flowbuilder.tasks t on t.run_id = r.id
    left join flowbuilder.run_steps s on s.run_id = t.run_id and s.position = t.position
    where r.workspace_id = %s and r.id = %s::uuid and t.id > %s order by t.id limit %s"""
SHOW_BUDGET: Final = b"select flowbuilder.show_budget(%s, %s::uuid) as budget"
SPEND_BUDGET: Final = b"select flowbuilder.spend_budget(%s, %s::uuid, %s, %s) as counted"
TOOL_HISTORY: Final = b"select * from flowbuilder.tool_history(%s, %s, %s)"
GROW_RUN: Final = (
    b"select * from flowbuilder.grow_run(%s, %s::uuid, %s::uuid, %s, %s, %s, %s::uuid, %s)"
)
START_HELD_RUN: Final = b"""
    select flowbuilder.start_held_run(%s, %s::uuid, %s, %s, %s::float8, %s::uuid, %s, %s, %s,
        %s::float8, %s) as answer"""
HOLD_RUN: Final = b"""
    select flowbuilder.hold_run(%s, %s::uuid, %s, %s, %s::float8) as deadline_at"""
RELEASE_HOLD: Final = b"select flowbuilder.release_hold(%s, %s::uuid, %s, %s) as released"
RUN_HOLDS: Final = b"""
    select h.* from flowbuilder.runs r join flowbuilder.run_holds h on h.run_id = r.id
    where r.workspace_id = %s and r.id = %s::uuid order by h.held_at, h.owner"""
CHANGE_RUN: Final = b"select flowbuilder.change_run(%s, %s::uuid, %s, %s, %s)"

EVENTS: Final = b"""
    select * from flowbuilder.events
    where workspace_id = %s and stream = %s::uuid and seq > %s order by seq limit %s"""
APPEND_PLAN_EVENT: Final = b"select * from flowbuilder.append_plan_event(%s, %s::uuid, %s, %s)"
TOOLS_TOGETHER: Final = b"select tools from flowbuilder.tools_together(%s, %s)"

_APPROVAL: Final = b"""
    select a.*, r.flow from flowbuilder.approvals a
    join flowbuilder.runs r on r.id = a.run_id where a.workspace_id = %s"""
LIST_APPROVALS: Final = b"""
    with given as (select %s::uuid as workspace, %s::text as status, %s::uuid as run,
        %s::uuid as after)
    select a.*, r.flow from flowbuilder.approvals a
    join flowbuilder.runs r on r.id = a.run_id cross join given g
    where a.workspace_id = g.workspace
      and (g.status is null or a.status = g.status) and (g.run is null or a.run_id = g.run)
      and (g.after is null or (a.requested_at, a.id) > (
            select b.requested_at, b.id from flowbuilder.approvals b
            where b.id = g.after and b.workspace_id = g.workspace))
    order by a.requested_at, a.id limit %s"""
GET_APPROVAL: Final = _APPROVAL + b" and a.id = %s::uuid"

#: What policy and workers ask of approvals, for whatever workspace their task is of.
GATE_OF_TASK: Final = b"""
    select a.*, r.flow from flowbuilder.approvals a
    join flowbuilder.runs r on r.id = a.run_id
    where a.run_id = %s::uuid and a.task_id = %s and a.kind = 'gate'
    order by a.requested_at desc, a.status <> 'pending' desc limit 1"""
DECISION_OF_STEP: Final = b"""
    select a.*, r.flow from flowbuilder.approvals a
    join flowbuilder.runs r on r.id = a.run_id
    where a.run_id = %s::uuid and a.step_id = %s and a.kind = 'decision'
    order by a.requested_at desc limit 1"""
GUARDED_VERSION: Final = (
    b"select document, outside from flowbuilder.flow_versions where id = %s::uuid"
)
SET_POLICY: Final = b"select * from flowbuilder.set_policy(%s, %s, %s, %s)"
NEWEST_POLICY: Final = b"""
    select * from flowbuilder.policies where workspace_id = %s order by id desc limit 1"""
POLICY_BY_ID: Final = b"select * from flowbuilder.policies where id = %s"
LIST_POLICIES: Final = b"""
    select * from flowbuilder.policies where workspace_id = %s order by id desc limit %s"""

SAVE_PLAN: Final = b"""
    insert into flowbuilder.plans as p
        (id, workspace_id, goal, status, document, created_at, updated_at)
    values (%s::uuid, %s, %s, %s, flowbuilder.checked(%s), flowbuilder.now(), flowbuilder.now())
    on conflict (id) do update
    set status = excluded.status, document = excluded.document, updated_at = excluded.updated_at
    where p.workspace_id = excluded.workspace_id
    returning *"""
STORE_PLAN: Final = b"select flowbuilder.store_plan(%s, %s::uuid, %s, %s, %s, %s) as stored"
GET_PLAN: Final = b"select * from flowbuilder.plans where workspace_id = %s and id = %s::uuid"
LIST_PLANS: Final = b"""
    with given as (select %s::uuid as workspace, %s::uuid as before)
    select p.* from flowbuilder.plans p cross join given g
    where p.workspace_id = g.workspace
      and (g.before is null or exists (
            select from flowbuilder.plans b
            where b.id = g.before and b.workspace_id = g.workspace
              and (p.created_at < b.created_at or p.created_at = b.created_at and p.id > b.id)))
    order by p.created_at desc, p.id limit %s"""
ACCEPT_PLAN: Final = b"""
    update flowbuilder.plans
    set status = 'accepted', run_id = coalesce(%s::uuid, run_id), updated_at = flowbuilder.now()
    where workspace_id = %s and id = %s::uuid returning *"""

REGISTER_WORKER: Final = b"select flowbuilder.register_worker(%s::uuid, %s, %s, %s, %s, %s, %s)"
DECLARE_LIMITS: Final = b"select flowbuilder.declare_limits(%s, %s)"
NOTE_RUN: Final = b"select flowbuilder.note_run(%s, %s::uuid, %s::uuid)"
RUNS_TO_LEARN: Final = b"select * from flowbuilder.runs_to_learn(%s, %s)"
LEARN: Final = b"select flowbuilder.learn(%s, %s, %s) as learnt"
RECALL: Final = b"select * from flowbuilder.recall(%s, %s, %s::float8, %s)"
MEMORIES: Final = b"""
    select * from flowbuilder.memories
    where workspace_id = %s and (%s::bigint is null or number < %s::bigint)
    order by number desc limit %s"""
MEMORY: Final = b"select * from flowbuilder.memories where workspace_id = %s and id = %s::uuid"
FORGET: Final = (
    b"delete from flowbuilder.memories where workspace_id = %s and id = %s::uuid returning id"
)
FORGET_ALL: Final = b"select flowbuilder.forget_all(%s) as forgotten"
MEMORY_PATTERNS: Final = b"select * from flowbuilder.memory_patterns(%s, %s)"
MEMORY_LESSONS: Final = b"select * from flowbuilder.memory_lessons(%s, %s)"
SETTLE_LESSON: Final = b"select flowbuilder.settle_lesson(%s, %s::uuid, %s, %s, %s, %s) as settled"
RUN_TREE: Final = b"select * from flowbuilder.run_tree(%s, %s::uuid, %s)"
SET_LIMIT: Final = b"select flowbuilder.set_limit(%s, 'administrator', %s, %s, %s::float8, %s)"
CLEAR_LIMIT: Final = b"select flowbuilder.clear_limit(%s) as cleared"
LIMITS: Final = b"select * from flowbuilder.limits_in_force()"
RETIRE_WORKER: Final = b"select flowbuilder.retire_worker(%s::uuid, %s) as runs"
WORKERS: Final = b"""
    select * from flowbuilder.workers
    where status = 'live' or last_seen_at > flowbuilder.now() - interval '1 hour'
    order by status = 'live' desc, started_at desc limit 200"""
EXCHANGE: Final = b"select flowbuilder.exchange(%s::uuid, %s, %s, %s, %s::float8) as answer"
EXCHANGE_AND_TELL: Final = b"""
    select flowbuilder.exchange_and_tell(%s::uuid, %s, %s, %s, %s::float8, %s) as answer"""
NODES: Final = b"select id, definition from flowbuilder.version_steps where id = any (%s)"
OUTPUTS: Final = b"""
    select id, output -> 'definition' as definition from flowbuilder.flow_versions
    where id = any (%s::uuid[])"""
BEGIN_TRANSACTION: Final = b"""
    select set_config('statement_timeout', %s, true),
        set_config('idle_in_transaction_session_timeout', %s, true),
        set_config('flowbuilder.transaction', %s, true)"""
COMPLETE_TRANSACTION: Final = b"select flowbuilder.complete_transaction(%s::uuid, %s, %s)"
PROGRESS: Final = b"select flowbuilder.record_progress(%s::uuid, %s, %s, %s) as written"
UPKEEP: Final = b"select flowbuilder.upkeep(%s::uuid) as answer"
RELAY: Final = b"select flowbuilder.relay() as answer"
QUEUE_DEPTH: Final = b"select flowbuilder.queue_depth() as answer"

EMIT_WITH_TASK: Final = (
    b"select flowbuilder.emit_with_task(%s::uuid, %s::bigint, %s, %s, %s, %s::float8)"
)
EMIT_EVENT: Final = b"select flowbuilder.emit_event(%s, %s, %s, %s, %s, %s::float8) as answer"

CLAIM_REPLAN: Final = b"select flowbuilder.claim_replan(%s, %s, %s::text[], %s::float8) as answer"
EXTEND_REPLAN: Final = b"select flowbuilder.extend_replan(%s::uuid, %s, %s, %s::float8) as extended"
REPLAN_CONTEXT: Final = b"select flowbuilder.replan_context(%s, %s::uuid, %s, %s) as answer"
REPLAN_RUN: Final = b"""
    select * from flowbuilder.replan_run(%s, %s::uuid, %s, %s, %s::uuid, %s::text[], %s, %s, %s, %s,
        %s, %s, %s)"""
REFUSE_REPLAN: Final = b"select flowbuilder.refuse_replan(%s, %s::uuid, %s, %s, %s, %s) as refused"
REPLANS: Final = b"""
    select p.* from flowbuilder.runs r join flowbuilder.replans p on p.run_id = r.id
    where r.workspace_id = %s and r.id = %s::uuid order by p.number"""

WHY_RUN: Final = b"select flowbuilder.why_run(%s, %s::uuid) as answer"
RETRY_RUN: Final = b"""
    select flowbuilder.retry_run(%s, %s::uuid, %s, %s::float8, %s, %s, %s) as answer"""
PRUNE_RUNS: Final = b"select flowbuilder.prune_runs(%s, %s, %s, %s, %s) as answer"
PRUNE_PLANS: Final = b"select flowbuilder.prune_plans(%s, %s, %s, %s, %s) as answer"
PRUNE_VERSIONS: Final = b"select flowbuilder.prune_versions(%s, %s, %s, %s) as answer"
PRUNE_EVENTS: Final = b"select flowbuilder.prune_events(%s, %s, %s, %s) as answer"
PRUNE_WORKERS: Final = b"select flowbuilder.prune_workers(%s, %s) as workers"
PRUNE_DELIVERIES: Final = b"select flowbuilder.prune_deliveries()"
BEFORE: Final = b"select flowbuilder.now() - make_interval(secs => %s::float8) as before"

SUBSCRIBE: Final = b"select flowbuilder.subscribe(%s, %s, %s, %s)"
UNSUBSCRIBE: Final = b"select flowbuilder.unsubscribe(%s, %s, %s) as patterns"
SUBSCRIPTIONS: Final = b"select flowbuilder.subscriptions(%s) as answer"
DELIVER: Final = b"select flowbuilder.deliver(%s) as answer"
TAKE_MESSAGES: Final = b"""
    select * from flowbuilder.take_messages(%s, %s, %s::float8) order by msg_id"""
DELETE_MESSAGES: Final = b"select pgmq.delete(%s::text, m.id) from unnest(%s::bigint[]) m (id)"
SHOW_MESSAGES: Final = b"select pgmq.set_vt(%s::text, m.id, 0) from unnest(%s::bigint[]) m (id)"
DROP_QUEUE: Final = b"select pgmq.drop_queue(%s::text)"

OPEN_WORKSPACE_LOG: Final = b"select flowbuilder.open_workspace_log(%s) as answer"
NUMBER_EVENTS: Final = b"select flowbuilder.number_events(%s, %s) as answer"
TRIM_WORKSPACE_LOGS: Final = b"select flowbuilder.trim_workspace_logs()"
WORKSPACE_EVENTS: Final = b"""
    select w.place, e.* from flowbuilder.workspace_events w
    join flowbuilder.events e
        on e.stream = w.stream and e.seq = w.seq and e.workspace_id = w.workspace_id
    where w.workspace_id = %s and w.place > %s order by w.place limit %s"""
