-- Events to and from other systems: their queues, and what is emitted for runs that wait.

-- Queues of other systems that are bound to topics of events (pgmq.bind_topic). One row for each
-- queue, kept by adjust_subscribers; without a workspace it was bound by pgmq alone and gets the
-- events of all.
create table flowbuilder.subscribers (
    queue        text primary key,
    workspace_id uuid references flowbuilder.workspaces,
    largest      integer not null default 10000 check (largest > 0),
    failures     integer not null default 0 check (failures >= 0),
    retry_at     timestamptz,
    error        text,
    check ((failures > 0) = (error is not null)),
    check ((failures > 0) = (retry_at is not null))
);

-- Which event goes to which queue: written with the event, read by deliver after the commit. The
-- numbers of one stream rise in the order of its events, because its row is locked meanwhile.
create table flowbuilder.deliveries (
    queue  text not null,
    id     bigint generated always as identity,
    stream uuid not null,
    seq    bigint not null,
    primary key (queue, id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Events that were emitted, the first of each name and key, for the waits that are there and for
-- those still to come. A slot without `emitted_at` is never committed: it is how a wait looks for
-- an event that is being emitted at the same moment.
create table flowbuilder.event_slots (
    workspace_id uuid not null references flowbuilder.workspaces,
    name         text not null
        check (name ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]*$' and length(name) <= 100),
    key          text not null check (length(key) <= 500),
    payload      json,
    emitted_at   timestamptz,
    emitted_by   text,
    expires_at   timestamptz,
    primary key (workspace_id, name, key),
    check ((payload is null) = (emitted_at is null)),
    check ((expires_at is null) = (emitted_at is null))
);
create index event_slots_over on flowbuilder.event_slots (workspace_id, expires_at);
-- The number of the slot that a task waits at (event_slot.sql), for as long as it waits.
alter table flowbuilder.tasks add column slot bigint check (slot is null or status = 'waiting');
create index tasks_listening on flowbuilder.tasks (slot) where slot is not null;
