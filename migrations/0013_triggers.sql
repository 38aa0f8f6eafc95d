-- What starts runs by itself: webhooks and schedules. They belong to a workspace, not to a person.

-- `path` is the random end of its address. `input` is what a run gets, in which `${{ input }}` is the
-- body of the delivery. `level` is a bucket of deliveries that loses `rate_count` in `rate_seconds`.
create table flowbuilder.webhooks (
    id           uuid primary key,
    workspace_id uuid not null references flowbuilder.workspaces on delete cascade,
    name         text not null,
    path         text not null unique check (length(path) >= 22),
    flow         text not null,
    version      integer check (version > 0),  -- null: the newest at each delivery
    input        json not null,
    description  text,
    trusted      boolean not null,  -- else what it brings is data from outside
    rate_count   integer not null check (rate_count > 0),
    rate_seconds double precision not null check (rate_seconds > 0),
    level        double precision not null default 0,
    level_at     timestamptz not null,
    paused_at    timestamptz,
    paused_by    text,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    updated_by   text,
    last_at      timestamptz,  -- the last delivery that was signed rightly
    last_result  text check (last_result in ('started', 'failed')),
    last_error   jsonb,
    last_run_id  uuid,
    deliveries   bigint not null default 0,  -- those that have started a run
    refused_at   timestamptz,  -- to the minute: who has no secret must not make work
    refused_code text,
    unique (workspace_id, name)
) with (fillfactor = 60);

-- The newest secret of a webhook, and while it is changed also the one before: sealed as those of
-- flowbuilder.secrets, each bound to its webhook and version.
create table flowbuilder.webhook_secrets (
    webhook_id   uuid not null references flowbuilder.webhooks on delete cascade,
    workspace_id uuid not null,
    version      integer not null check (version > 0),
    key_id       text not null,
    wrapped      bytea not null,
    sealed       bytea not null,
    expires_at   timestamptz,  -- null: the newest
    primary key (webhook_id, version)
);

-- Deliveries by the sender's id, so that one that is sent again starts nothing.
create table flowbuilder.webhook_deliveries (
    webhook_id   uuid not null references flowbuilder.webhooks on delete cascade,
    message_id   text not null,
    workspace_id uuid not null,
    run_id       uuid not null,
    expires_at   timestamptz not null,
    primary key (webhook_id, message_id)
);
create index webhook_deliveries_expired on flowbuilder.webhook_deliveries (expires_at);

-- `tick_at` is the next moment that the cron expression names, `next_at` when it is looked at: later by
-- the jitter, null while paused or when no tick is left. `revision` rises with each change and each
-- fire: whoever has read an older one does nothing.
create table flowbuilder.schedules (
    id             uuid primary key,
    workspace_id   uuid not null references flowbuilder.workspaces on delete cascade,
    name           text not null,
    flow           text not null,
    version        integer check (version > 0),  -- null: the newest at each tick
    input          json not null,
    description    text,
    cron           text not null,
    timezone       text not null,
    missed         text not null check (missed in ('skip', 'once', 'all')),
    missed_limit   integer not null check (missed_limit between 1 and 100),
    overlap        text not null check (overlap in ('allow', 'skip')),
    jitter_seconds double precision not null check (jitter_seconds between 0 and 3600),
    revision       bigint not null default 1,
    tick_at        timestamptz,
    next_at        timestamptz,
    paused_at      timestamptz,
    paused_by      text,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    updated_by     text,
    last_tick_at   timestamptz,
    last_at        timestamptz,
    last_result    text check (last_result in ('started', 'failed', 'overlapped', 'missed', 'refused')),
    last_error     jsonb,
    last_run_id    uuid,
    missed_at      timestamptz,  -- the newest tick that was passed over
    fires          bigint not null default 0,
    unique (workspace_id, name)
) with (fillfactor = 60);
create index schedules_next on flowbuilder.schedules (next_at) where next_at is not null;

-- One row: while `held_at` is set, no schedule of any workspace fires.
create table flowbuilder.schedule_switch (
    single  boolean primary key default true check (single),
    held_at timestamptz,
    held_by text,
    reason  text
);
insert into flowbuilder.schedule_switch default values;

-- What has started a run, where that was no person; other runs have no row. A tick of a schedule
-- starts one run, whatever else happens.
create table flowbuilder.run_triggers (
    run_id       uuid primary key,
    workspace_id uuid not null,
    kind         text not null check (kind in ('webhook', 'schedule', 'file')),
    trigger_id   uuid,
    name         text not null,
    tick_at      timestamptz,
    detail       text  -- the sender's id of a delivery, the path of a file
);
create unique index run_triggers_tick on flowbuilder.run_triggers (trigger_id, tick_at)
    where tick_at is not null;
