-- What a run may cost, and what it has cost: rows exist for runs with a budget only.

-- A run, its children and its retries have one budget together: each of them has a row with what it
-- has spent itself, which changes under its run's lock, and the bounds that they all have; the sum
-- over a family (`root_id`) is held against these. So no row is shared between runs, and nobody waits
-- for another's. `open` until the run has ended. `breach` is the error that the run fails with; `halted`
-- never outlives the transaction that sets it.
create table flowbuilder.run_budgets (
    run_id          uuid primary key,
    root_id         uuid not null,
    open            boolean not null default true,
    max_tokens      bigint check (max_tokens >= 0),
    max_usd         numeric check (max_usd >= 0),
    max_seconds     double precision check (max_seconds >= 0),
    max_steps       bigint check (max_steps >= 0),
    max_replans     bigint check (max_replans >= 0),
    tokens          bigint not null default 0 check (tokens >= 0),
    unpriced_tokens bigint not null default 0 check (unpriced_tokens >= 0),
    usd             numeric not null default 0 check (usd >= 0),
    steps           bigint not null default 0 check (steps >= 0),
    replans         bigint not null default 0 check (replans >= 0),
    halted          boolean not null default false,
    breach          jsonb
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
create index run_budgets_family on flowbuilder.run_budgets (root_id);
create index run_budgets_open on flowbuilder.run_budgets (run_id) where open;

-- What single tasks have spent, for estimates of what is still to run. Only ever inserted and
-- deleted; a price that is not known is null, and so is what is no call of a tool.
create table flowbuilder.spendings (
    id           bigint generated always as identity primary key,
    workspace_id uuid not null references flowbuilder.workspaces,
    run_id       uuid not null,
    task_id      bigint,
    tool         text,
    tokens       bigint not null,
    usd          numeric
);
create index spendings_tool on flowbuilder.spendings (workspace_id, tool, id);
create index spendings_run on flowbuilder.spendings (run_id);

-- Where children and retries come from, they get the budget of the run that they belong to; other runs
-- are told apart by this condition alone. The function is made with the others, later.
create function flowbuilder.inherit_budget() returns trigger
language plpgsql set search_path = ''
as $$ begin return null; end $$;
create trigger runs_inherit_budget after insert on flowbuilder.runs for each row
    when (new.parent_run_id is not null or new.retry_of is not null)
    execute function flowbuilder.inherit_budget();

-- How much of a budget is used, as functions hand it to each other: sums over the family.
create type flowbuilder.budget_use as (
    root_id uuid, max_tokens bigint, max_usd numeric, max_seconds double precision,
    max_steps bigint, max_replans bigint, tokens bigint, unpriced_tokens bigint, usd numeric,
    steps bigint, replans bigint, seconds double precision
);
