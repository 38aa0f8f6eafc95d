-- The log of a workspace: the events of all its streams in one order, under numbers of its own.
--
-- Numbers of streams are given under the lock of a run, so they are no order among runs, and neither
-- is the order of insertion, because transactions end in another one. So events are put down as
-- arrivals by their own transactions (log_arrivals.sql), and numbered after their commit, by one
-- session at a time (number_events.sql). A workspace whose log nobody reads has none, and pays
-- nothing; the trigger on events exists only while some workspace has one.

create table flowbuilder.workspace_logs (
    workspace_id uuid primary key references flowbuilder.workspaces,
    last         bigint not null default 0,  -- the highest number that was given
    pruned       bigint not null default 0,  -- up to this number the log is gone
    read_at      timestamptz not null,       -- when somebody read it last, to the hour
    check (0 <= pruned and pruned <= last)
) with (fillfactor = 50);

-- The identity rises in the order of each stream, because its row is locked meanwhile.
create table flowbuilder.workspace_arrivals (
    workspace_id uuid not null,
    id           bigint generated always as identity,
    stream       uuid not null,
    seq          bigint not null,
    primary key (workspace_id, id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

create table flowbuilder.workspace_events (
    workspace_id uuid not null,
    place        bigint not null check (place > 0),
    stream       uuid not null,
    seq          bigint not null,
    primary key (workspace_id, place)
);
