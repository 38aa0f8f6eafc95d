-- How many tasks may run at once, and how often.

-- Limits. Those on tools stand here, by name, `http.*` or `*`: what a tool declares, and what an
-- administrator says, which counts instead. Those of steps stand in version_steps.
create table flowbuilder.tool_limits (
    pattern      text not null,
    source       text not null check (source in ('tool', 'administrator')),
    concurrency  integer check (concurrency > 0),
    rate_count   integer check (rate_count > 0),
    rate_seconds double precision check (rate_seconds > 0),
    updated_at   timestamptz not null,
    updated_by   text,
    primary key (pattern, source),
    check ((rate_count is null) = (rate_seconds is null))
);

-- What tasks hold, or wait for: one row for each limit on tools, and for each key of a step's limit.
-- Its lock is what a claim needs to take a place; nothing waits for it. `granted` counts the starts
-- at the times in `granted_at` that the rate still counts.
create table flowbuilder.limit_slots (
    id           bigint generated always as identity primary key,
    kind         text not null check (kind in ('tool', 'step')),
    name         text not null,
    key          text not null default '',
    concurrency  integer,
    rate_count   integer,
    rate_seconds double precision,
    granted_at   timestamptz[] not null default '{}',
    granted      integer[] not null default '{}',
    waiting      boolean not null default false,
    wake_at      timestamptz,
    used_at      timestamptz not null,
    unique (kind, name, key)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
create index limit_slots_waiting on flowbuilder.limit_slots (wake_at) where waiting;
create index limit_slots_idle on flowbuilder.limit_slots (used_at) where not waiting;

-- Who holds what. A row counts as long as its task runs under this fence, so no way out of running
-- can keep a place; the row itself goes with the next look.
create table flowbuilder.slot_uses (
    slot_id bigint not null,
    task_id bigint not null,
    fence   integer not null,
    primary key (slot_id, task_id, fence)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index slot_uses_task on flowbuilder.slot_uses (task_id);

-- Slots in which there may be room again. Only ever inserted and deleted, so that nobody who gives
-- a place back waits for a slot's lock.
create table flowbuilder.slot_news (
    slot_id bigint not null
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- What a task asks of one slot, as functions hand it to each other.
create type flowbuilder.slot_demand as (
    task_id bigint, kind text, name text, key text, concurrency integer, rate_count integer,
    rate_seconds double precision
);
