-- The tables of flowbuilder. State lives here; a message of the queue carries only ids.
--
-- Order of locks, everywhere: worker row, event slots, gates, slots of limits, runs by id, tasks,
-- messages; what is not waited for (`skip locked`) may come out of this order.
-- Rows that every step touches have no foreign keys: a run is locked before its steps, tasks and
-- events are written, and a version is read before its run is, so a key would only add checks and
-- share locks to the hottest rows. For the same reason no index of tasks and steps speaks of a column
-- that each of them changes, and their pages have room: an update that touches no index stays on its
-- page. What few of them ever are (parked, unadmitted, orphanable) is a column of its own for that.
-- What users put in or get out is json, which keeps the order of keys; only errors are jsonb.

create table flowbuilder.workspaces (
    id         uuid primary key,
    slug       text not null unique,
    created_at timestamptz not null default now()
);
insert into flowbuilder.workspaces (id, slug)
values ('00000000-0000-0000-0000-000000000001', 'default');

-- One row: how far the database's clock is moved. Tests jump in time by changing it.
create table flowbuilder.clock (
    single    boolean primary key default true check (single),
    offset_by interval not null default interval '0'
);
insert into flowbuilder.clock default values;

create table flowbuilder.flows (
    workspace_id uuid not null references flowbuilder.workspaces,
    slug         text not null,
    draft        json not null,
    head         integer,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    primary key (workspace_id, slug)
);

-- Steps that were added to a draft since it was last written as a whole: whole_draft.sql puts them
-- at its end. So adding a step writes that step and nothing else, however long the draft is.
-- `revision` is another one after each change of a draft.
alter table flowbuilder.flows add revision uuid not null default gen_random_uuid();
create table flowbuilder.draft_steps (
    workspace_id uuid not null,
    slug         text not null,
    place        integer not null,
    step         json not null,
    primary key (workspace_id, slug, place),
    foreign key (workspace_id, slug) references flowbuilder.flows on delete cascade
);

create table flowbuilder.flow_versions (
    id           uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references flowbuilder.workspaces,
    slug         text not null,
    version      integer check (version > 0),
    content_hash text not null,
    pins         text[] not null,
    document     json not null,
    output       json,
    origin       text not null check (origin in ('published', 'dynamic', 'run')),
    owner_id     uuid,
    step_count   integer not null check (step_count > 0),
    created_at   timestamptz not null,
    registered_at timestamptz,  -- of an unsaved graph, until a run is known: see prune_versions
    check ((origin = 'published') = (version is not null))
);
create unique index flow_versions_number on flowbuilder.flow_versions (workspace_id, slug, version)
    where version is not null;
create index flow_versions_content on flowbuilder.flow_versions (workspace_id, slug, content_hash);
create index flow_versions_unsaved on flowbuilder.flow_versions (registered_at)
    where registered_at is not null;

create table flowbuilder.version_steps (
    id           bigint generated always as identity primary key,
    version_id   uuid not null references flowbuilder.flow_versions on delete cascade,
    position     integer not null,
    step_id      text not null,
    tool         text not null,
    definition   json not null,
    depends_on   integer[] not null,
    dependents   integer[] not null,
    refs         integer[] not null,
    needs_input  boolean not null,
    for_each     json,
    has_when     boolean not null,
    trigger_rule text not null
        check (trigger_rule in ('all_success', 'none_failed', 'all_done', 'one_success')),
    on_error     text not null check (on_error in ('fail', 'skip', 'continue')),
    max_attempts integer not null check (max_attempts > 0),
    concurrency  integer check (concurrency > 0),
    owner_id     uuid,
    limits       json,
    unique (version_id, position),
    unique (version_id, step_id)
);
create index version_steps_limited on flowbuilder.version_steps (id) where limits is not null;

create table flowbuilder.plans (
    id           uuid primary key,
    workspace_id uuid not null references flowbuilder.workspaces,
    goal         text not null,
    status       text not null,
    document     json not null,
    last_seq     bigint not null default 0,
    run_id       uuid,
    created_at   timestamptz not null,
    updated_at   timestamptz not null
);
create index plans_newest on flowbuilder.plans (workspace_id, created_at desc, id);

create table flowbuilder.runs (
    id              uuid primary key default gen_random_uuid(),
    workspace_id    uuid not null,
    version_id      uuid not null,
    flow            text not null,
    version         integer,
    status          text not null check
        (status in ('queued', 'running', 'paused', 'completed', 'failed', 'cancelled')),
    input           json not null,
    output          json,
    error           jsonb,
    remaining_steps integer not null check (remaining_steps >= 0),
    holds           integer not null default 0 check (holds >= 0),
    last_seq        bigint not null default 0,
    depth           integer not null default 0,
    idempotency_key text,
    priority        smallint not null default 0 check (priority between -1 and 1),
    max_elements    integer not null default 100000 check (max_elements > 0),
    max_tasks       integer not null default 200000 check (max_tasks > 0),
    max_open_runs   integer not null default 100000 check (max_open_runs > 0),
    parent_run_id   uuid,
    parent_task_id  bigint,
    plan_id         uuid,
    retry_of        uuid,
    retry_from      text,
    actor           text,
    created_at      timestamptz not null,
    started_at      timestamptz,
    finished_at     timestamptz,
    deadline_at     timestamptz not null,
    watched         boolean not null default false,
    check (finished_at is null or not watched),
    check ((finished_at is not null) = (status in ('completed', 'failed', 'cancelled'))),
    check (status not in ('running', 'completed', 'failed') or started_at is not null),
    check ((error is not null) = (status = 'failed')),
    check ((output is not null) = (status = 'completed')),
    check (status <> 'completed' or remaining_steps = 0)
) with (fillfactor = 50);
create unique index runs_idempotency on flowbuilder.runs (workspace_id, idempotency_key)
    where idempotency_key is not null;
create index runs_newest on flowbuilder.runs (workspace_id, created_at desc);
-- Open runs that are looked after; nothing that is indexed changes when a quick one ends.
create index runs_watched on flowbuilder.runs (deadline_at) where watched;
create index runs_parent on flowbuilder.runs (parent_run_id) where parent_run_id is not null;
create index runs_retries on flowbuilder.runs (retry_of) where retry_of is not null;
create index runs_planned on flowbuilder.runs (plan_id) where plan_id is not null;
create index runs_unsaved on flowbuilder.runs (version_id) where version is null;

-- Lists of runs by flow and by what few runs come to; neither index speaks of what a run changes
-- while it is under way.
create index runs_of_flow on flowbuilder.runs (workspace_id, flow, created_at desc);
alter table flowbuilder.runs add setback text generated always as
    (case when status in ('failed', 'cancelled') then status end) stored;
create index runs_setbacks on flowbuilder.runs (workspace_id, setback, created_at desc)
    where setback is not null;

create table flowbuilder.run_steps (
    run_id          uuid not null,
    position        integer not null,
    step_id         text not null,
    node_id         bigint not null,
    status          text not null check
        (status in ('pending', 'running', 'completed', 'failed', 'skipped', 'cancelled')),
    remaining_deps  integer not null check (remaining_deps >= 0),
    succeeded_deps  integer not null default 0 check (succeeded_deps >= 0),
    task_count      integer check (task_count >= 0),
    remaining_tasks integer check (remaining_tasks >= 0),
    output          json,
    error           jsonb,
    skip_reason     text check (skip_reason in ('condition', 'dependency', 'error')),
    started_at      timestamptz,
    finished_at     timestamptz,
    primary key (run_id, position),
    check ((finished_at is not null) = (status in ('completed', 'failed', 'skipped', 'cancelled'))),
    check ((output is not null) = (status = 'completed')),
    check ((skip_reason is not null) = (status = 'skipped')),
    check (status not in ('running', 'completed') or started_at is not null),
    check (status <> 'completed' or remaining_tasks = 0)
) with (fillfactor = 50);

-- position -1 is the finishing task of a run, -2 - n the compensation of the step at n; element -1 is
-- the one task of an unmapped step, whose output is in the step's row. Only what is queued has a
-- message; a claim takes it away. What a limit keeps back is queued without one: blocked by a slot, at
-- its place in the queue.
create table flowbuilder.tasks (
    id           bigint generated always as identity primary key,
    run_id       uuid not null,
    position     integer not null,
    element      integer not null default -1,
    kind         text not null check (kind in ('step', 'expand', 'finish', 'compensate')),
    status       text not null check (status in ('pending', 'queued', 'running', 'waiting',
                                                 'completed', 'failed', 'skipped', 'cancelled')),
    step_id      text,
    node_id      bigint,
    tool         text,
    owner_id     uuid,
    fence        integer not null default 0 check (fence >= 0),
    attempt      integer not null default 0 check (attempt >= 0),
    claims       integer not null default 0 check (claims >= 0),
    approved     boolean not null default false,
    available_at timestamptz,
    lease_until  timestamptz,
    worker_id    uuid,
    message_id   bigint,
    blocked_by   bigint,
    blocked_place timestamptz,
    item         json,
    args         json,
    wait         json,
    output       json,
    error        jsonb,
    started_at   timestamptz,
    finished_at  timestamptz,
    parked       boolean not null generated always as (
                     status in ('queued', 'waiting') and message_id is null
                     and blocked_by is null) stored,
    unadmitted   boolean not null generated always as (status = 'pending') stored,
    orphanable   boolean not null generated always as (
                     owner_id is not null and finished_at is null) stored,
    unique (run_id, position, element),
    check ((lease_until is not null) = (status = 'running')),
    check (status <> 'running' or worker_id is not null),
    check ((wait is not null) = (status = 'waiting')),
    check ((output is not null) = (status = 'completed' and element >= 0)),
    check ((step_id is null) = (kind = 'finish')),
    check (message_id is null or status = 'queued'),
    check ((finished_at is not null) = (status in ('completed', 'failed', 'skipped', 'cancelled')))
) with (fillfactor = 50);
create index tasks_due on flowbuilder.tasks (available_at) where parked;
create index tasks_blocked on flowbuilder.tasks (blocked_by, blocked_place)
    where blocked_by is not null;
create index tasks_pending on flowbuilder.tasks (run_id, position, element) where unadmitted;
create index tasks_owned on flowbuilder.tasks (owner_id) where orphanable;

-- Which tasks were leased to whom, a row for each call that leased any: by this the tasks of a worker
-- are found. `until` tells when to look whether their own `lease_until` ran out.
create table flowbuilder.leases (
    id        bigint generated always as identity primary key,
    worker_id uuid not null,
    until     timestamptz not null,
    tasks     bigint[] not null
) with (fillfactor = 70);
create index leases_worker on flowbuilder.leases (worker_id, id);

-- Tasks that were lost with their worker so often that they may have been what took it down: a worker
-- holds one of them at most (find_apart.sql), so that they do not take others with them for ever.
create table flowbuilder.suspects (
    task_id bigint primary key,
    claims  integer not null  -- until it has ended, or an outcome has set its claims back
);

create table flowbuilder.approvals (
    id           uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references flowbuilder.workspaces,
    run_id       uuid not null,
    task_id      bigint not null,
    step_id      text not null,
    kind         text not null check (kind in ('gate', 'decision', 'input')),
    status       text not null
        check (status in ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
    tool         text not null,
    args         json not null,
    args_hash    text not null,
    message      text,
    schema       json,
    approvers    text[] not null,
    requested_at timestamptz not null,
    deadline_at  timestamptz not null,
    on_deadline  text not null check (on_deadline in ('reject', 'approve')),
    decided_at   timestamptz,
    decided_by   text,
    comment      text,
    value        json,
    check ((decided_at is null) = (status = 'pending'))
);
create unique index approvals_task on flowbuilder.approvals (task_id) where status = 'pending';
create index approvals_pending on flowbuilder.approvals (workspace_id, requested_at)
    where status = 'pending';
create index approvals_run on flowbuilder.approvals (run_id);

-- A stream is a run or a plan. `seq` counts 1, 2, 3 … under the lock of the stream's own row, so
-- the order of numbers is the order of commits.
create table flowbuilder.events (
    stream       uuid not null,
    seq          bigint not null check (seq > 0),
    workspace_id uuid not null,
    type         text not null,
    run_id       uuid,
    step_name    text,
    task_id      bigint,
    attempt      integer,
    at           timestamptz not null,
    actor        text,
    data         json not null,
    primary key (stream, seq)
);

create table flowbuilder.workers (
    id           uuid primary key,
    name         text not null,
    host         text not null,
    pid          integer not null,
    status       text not null check (status in ('live', 'stopped', 'dead')),
    tools        text[] not null,
    concurrency  integer not null,
    max_claims   integer not null,
    started_at   timestamptz not null,
    last_seen_at timestamptz not null,
    lock_seen    boolean not null default false,
    suspect_at   timestamptz,
    leases_from  bigint not null default 0  -- its rows of leases below are gone (pass_leases.sql)
) with (fillfactor = 70);
create index workers_live on flowbuilder.workers (id) where status = 'live';

-- Runs that grow. Each added step makes a version of the run's own, which goes with the run; the run
-- remembers the version that it was started of, and keeps the number of that one.
alter table flowbuilder.runs add grown_from uuid;
create index runs_grown on flowbuilder.runs (grown_from) where grown_from is not null;
create index runs_grown_again on flowbuilder.runs (version_id)
    where grown_from is not null and retry_of is not null;
alter table flowbuilder.flow_versions add run_id uuid,
    add check ((origin = 'run') = (run_id is not null));
create index flow_versions_of_runs on flowbuilder.flow_versions (run_id) where run_id is not null;

-- Who keeps a run from completing, because more may come; `runs.holds` counts them. Gone when the
-- run has ended.
create table flowbuilder.run_holds (
    run_id      uuid not null,
    owner       text not null,
    reason      text,
    held_at     timestamptz not null,
    deadline_at timestamptz not null,
    primary key (run_id, owner)
);
create index run_holds_deadline on flowbuilder.run_holds (deadline_at);

-- The error of a run that has failed, while what its steps have done is undone and after that.
alter table flowbuilder.runs add failure jsonb;

-- What one run must do to another, and second looks for events: each in a transaction of its own.
create table flowbuilder.outbox (
    id         bigint generated always as identity primary key,
    kind       text not null
        check (kind in ('start_child', 'child_ended', 'cancel_child', 'await_event', 'emit_event',
                        'over_budget', 'admit_runs')),
    run_id     uuid not null,
    task_id    bigint,
    payload    json not null,
    created_at timestamptz not null
);

-- How many open runs a workspace had when they were counted last (bound_open_runs.sql).
create table flowbuilder.open_counts (
    workspace_id uuid primary key references flowbuilder.workspaces,
    counted_at   timestamptz not null,
    open         integer not null
) with (fillfactor = 50);

-- From which run on those that are open need not be watched (watch_runs.sql).
create table flowbuilder.watch (
    one       boolean primary key default true check (one),
    beginning uuid not null,
    seen_at   timestamptz,
    soon      uuid,
    noted     xid8,
    check ((soon is null) = (noted is null))
) with (fillfactor = 50);
insert into flowbuilder.watch (beginning) values ('00000000-0000-0000-0000-000000000000');

alter table flowbuilder.tasks set (autovacuum_vacuum_scale_factor = 0.02);
alter table flowbuilder.run_steps set (autovacuum_vacuum_scale_factor = 0.02);
alter table flowbuilder.runs set (autovacuum_vacuum_scale_factor = 0.02);

-- Sets of rows that functions hand to each other.
create type flowbuilder.place as (run_id uuid, position integer);
create type flowbuilder.event_draft as (
    run_id uuid, type text, step_name text, task_id bigint, attempt integer, data json
);
create type flowbuilder.outcome as (
    task_id bigint, run_id uuid, fence integer, kind text, output json, error jsonb, reason text,
    delay_seconds double precision, wait json
);
create type flowbuilder.task_result as (
    task_id bigint, status text, output json, error jsonb, reason text
);
