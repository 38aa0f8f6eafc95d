-- What finished runs of plans have taught. Nothing here is written by the engine: runs to learn from
-- are noted when a plan is accepted, and learnt from when somebody plans or asks.

-- Runs of plans that are still to be learnt from.
create table flowbuilder.memory_pending (
    run_id       uuid primary key,
    workspace_id uuid not null references flowbuilder.workspaces,
    plan_id      uuid not null,
    noted_at     timestamptz not null
);
create index memory_pending_of on flowbuilder.memory_pending (workspace_id, noted_at);

-- One row a run. `goal` is the user's own text; `plan` is the chain of steps without any value that a
-- goal, an input or an output had in it; errors are kept as codes, never as texts.
create table flowbuilder.memories (
    id           uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references flowbuilder.workspaces,
    run_id       uuid not null unique,
    plan_id      uuid not null,
    goal         text not null,
    stems        text[] not null,
    planner      text not null,
    tools        text[] not null,
    plan         json not null,
    outcome      text not null check (outcome in ('completed', 'failed', 'cancelled')),
    failures     json not null default '[]',
    rejected     text[] not null default '{}',
    seconds      double precision,
    tokens       bigint not null default 0,
    cost_usd     double precision,
    learned_at   timestamptz not null,
    number       bigint generated always as identity
);
create index memories_newest on flowbuilder.memories (workspace_id, number desc);
create index memories_stems on flowbuilder.memories using gin (stems);

-- What was decided about lessons. The lessons themselves are counted from the memories.
create table flowbuilder.memory_rules (
    id           uuid primary key,
    workspace_id uuid not null references flowbuilder.workspaces,
    kind         text not null check (kind in ('failed', 'rejected')),
    tool         text not null,
    code         text not null,
    status       text not null check (status in ('adopted', 'refused')),
    suite        text not null,
    comparison   json not null,
    decided_by   text,
    decided_at   timestamptz not null
);
create index memory_rules_of on flowbuilder.memory_rules (workspace_id, status);
