-- Runs of which the rest may be planned anew when a step fails.

-- What was allowed when the run was started: {most, seconds}. Null: a failed step ends the run.
alter table flowbuilder.runs add column replanning jsonb;

-- Where the steps of a version stand that was planned anew: {steps: {id: position}, next: the first
-- position that no task of the run has had}. Null: in the order of the document.
alter table flowbuilder.flow_versions add column places jsonb;

-- Each time that a new plan was asked for. `owner` is the run's hold of that name: that of nobody in
-- particular at first, then of the re-planner that is at it until `lease_until`. `error` is what the
-- run fails with when nothing comes of it.
create table flowbuilder.replans (
    run_id       uuid not null,
    number       integer not null check (number > 0),
    step_id      text not null,
    error        jsonb not null,
    status       text not null check (status in ('open', 'done', 'refused', 'cancelled')),
    owner        text not null,
    lease_until  timestamptz,
    tries        integer not null default 0 check (tries >= 0),
    added        text[] not null default '{}',
    reason       jsonb,
    usage        jsonb,
    version_id   uuid,
    requested_at timestamptz not null,
    deadline_at  timestamptz not null,
    decided_at   timestamptz,
    primary key (run_id, number),
    check ((decided_at is null) = (status = 'open')),
    check ((version_id is not null) = (status = 'done'))
);
create unique index replans_open on flowbuilder.replans (run_id) where status = 'open';
