-- Which runs may be under way, what a workspace may use up, and how often the service is asked.

-- A workspace has a gate when anything of that kind is set in it: so a start of any other one looks
-- into one small table, and no further. Its lock, taken before any run's, is what letting runs in needs.
create table flowbuilder.gates (
    workspace_id   uuid primary key references flowbuilder.workspaces on delete cascade,
    stored_bytes   bigint check (stored_bytes > 0),
    events_kept    bigint check (events_kept > 0),
    runs_per_day   integer check (runs_per_day > 0),
    plans_per_hour integer check (plans_per_hour > 0),
    quotas_at      timestamptz,
    quotas_by      text,
    wake_at        timestamptz,  -- when upkeep looks at what waits; null: nothing does
    unsettled      xid8          -- of the last change of a limit, until all older starts have ended
) with (fillfactor = 50);
create index gates_due on flowbuilder.gates (wake_at) where wake_at is not null;

-- Of the whole workspace (flow '') or of one flow. `level` counts the starts in the bucket at `at`:
-- it holds `rate_count` of them and loses that many in `rate_seconds`.
create table flowbuilder.admission_limits (
    workspace_id uuid not null references flowbuilder.workspaces on delete cascade,
    flow         text not null,
    concurrency  integer check (concurrency > 0),
    rate_count   integer check (rate_count > 0),
    rate_seconds double precision check (rate_seconds > 0),
    level        double precision not null default 0 check (level >= 0),
    at           timestamptz not null,
    updated_at   timestamptz not null,
    updated_by   text,
    primary key (workspace_id, flow),
    check ((rate_count is null) = (rate_seconds is null)),
    check (concurrency is not null or rate_count is not null)
) with (fillfactor = 50);

-- The open runs that limits count (`admitted`), and those that they keep back. A child run is part of
-- the run that started it, and has none of these.
create table flowbuilder.admissions (
    run_id       uuid primary key,
    workspace_id uuid not null,
    flow         text not null,
    priority     smallint not null,
    since        timestamptz not null,
    state        text not null check (state in ('waiting', 'paused', 'admitted'))
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index admissions_waiting on flowbuilder.admissions
    (workspace_id, flow, priority desc, since, run_id) where state = 'waiting';
create index admissions_counted on flowbuilder.admissions (workspace_id, flow)
    where state = 'admitted';

-- What was used of a quota since the beginning of its hour or day.
create table flowbuilder.quota_counts (
    workspace_id uuid not null references flowbuilder.workspaces on delete cascade,
    quota        text not null check (quota in ('runs_per_day', 'plans_per_hour')),
    since        timestamptz not null,
    used         bigint not null check (used >= 0),
    primary key (workspace_id, quota)
) with (fillfactor = 50);

-- What a workspace has stored, as it was measured last, and how long that took.
create table flowbuilder.usage_measures (
    workspace_id uuid primary key references flowbuilder.workspaces on delete cascade,
    measured_at  timestamptz not null,
    took_seconds double precision not null,
    stored_bytes bigint not null,
    events       bigint not null
) with (fillfactor = 50);

-- Workers that take nothing at present, because their host has too much to do.
create table flowbuilder.worker_holds (
    worker_id uuid primary key,
    cause     text not null check (cause in ('cpu', 'memory')),
    figure    double precision not null,
    threshold double precision not null,
    since     timestamptz not null
);

-- Buckets of requests, one for each kind and caller; read and written by the service's owner only.
create table flowbuilder.rate_buckets (
    key   text primary key,
    level double precision not null check (level >= 0),
    at    timestamptz not null
) with (fillfactor = 50);
