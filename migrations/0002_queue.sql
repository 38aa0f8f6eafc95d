-- The queue of tasks, and what its readers know of it.

select pgmq.create('flowbuilder_tasks');
alter table pgmq.q_flowbuilder_tasks set (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0
);
-- Readers take it for a task's id: one message by hand that holds none would stop them all.
alter table pgmq.q_flowbuilder_tasks
    add constraint names_a_task check ((message ->> 'task') ~ '^[0-9]{1,18}$');

-- One row: gaps of the queue, which its readers step over while dead rows there cannot be cleared away
-- (watch_gaps.sql). `shut`: nobody is put there; `empty`, a part of it: nobody is there; `since` and
-- `until`: the stretches between the latter, in order; `edge`: the end of the last gap; `writers`: the
-- transactions that may not know yet what is shut; `dead`: rows of the queue when gaps were looked for;
-- `seen_at`: when they were held against where new work stands; `made_by`: the last writer of this row.
create table flowbuilder.queue_gaps (
    single  boolean primary key default true check (single),
    shut    tstzmultirange not null default '{}',
    empty   tstzmultirange not null default '{}' check (empty <@ shut),
    since   timestamptz[] not null default '{-infinity}',
    until   timestamptz[] not null default '{infinity}',
    edge    timestamptz not null default '-infinity',
    writers text[],
    dead    bigint not null default 0,
    seen_at timestamptz not null default '-infinity',
    made_by xid8
) with (fillfactor = 50);
insert into flowbuilder.queue_gaps default values;
