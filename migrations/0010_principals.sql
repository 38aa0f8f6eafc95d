-- Users, what they may do in which workspace, their sessions and keys, and the log of who did what.
--
-- The service's requests come as the role flowbuilder_app, which grant_access.sql gives its rights:
-- it sees the rows of one workspace only, named for each transaction, and of the tables here none
-- but the log's. What it needs of the others it asks functions for that run as their owner.

create table flowbuilder.users (
    id            uuid primary key default gen_random_uuid(),
    name          text not null unique
        check (name ~ '^[a-z0-9][a-z0-9._@+-]*$' and length(name) <= 100),
    password_hash text,     -- null: none was set yet, so nobody can log in
    admin         boolean not null default false,  -- of the whole installation
    created_at    timestamptz not null,
    created_by    text,
    disabled_at   timestamptz
);

create table flowbuilder.members (
    workspace_id uuid not null references flowbuilder.workspaces on delete cascade,
    user_id      uuid not null references flowbuilder.users on delete cascade,
    roles        text[] not null check (cardinality(roles) > 0
        and roles <@ array['member', 'builder', 'approver', 'admin']),
    added_at     timestamptz not null,
    added_by     text,
    primary key (workspace_id, user_id)
);
create index members_user on flowbuilder.members (user_id);

-- A log-in until its log-out. Access tokens name it and count only while it is open.
create table flowbuilder.sessions (
    id         uuid primary key default gen_random_uuid(),
    user_id    uuid not null references flowbuilder.users on delete cascade,
    address    text,
    opened_at  timestamptz not null,
    expires_at timestamptz not null,
    ended_at   timestamptz,
    end_reason text,
    check ((ended_at is null) = (end_reason is null))
);
create index sessions_user on flowbuilder.sessions (user_id) where ended_at is null;
create index sessions_over on flowbuilder.sessions (expires_at);

-- SHA-256 of refresh tokens, each good for once. Used ones stay while their session may go on, so
-- that a second use is noticed.
create table flowbuilder.refresh_tokens (
    hash       bytea primary key check (length(hash) = 32),
    session_id uuid not null references flowbuilder.sessions on delete cascade,
    expires_at timestamptz not null,
    used_at    timestamptz
);
create index refresh_tokens_session on flowbuilder.refresh_tokens (session_id);

-- SHA-256 of one-time tokens by which a user sets the password.
create table flowbuilder.invitations (
    hash       bytea primary key check (length(hash) = 32),
    user_id    uuid not null references flowbuilder.users on delete cascade,
    expires_at timestamptz not null,
    created_by text
);
create index invitations_user on flowbuilder.invitations (user_id);

create table flowbuilder.api_keys (
    id           uuid primary key default gen_random_uuid(),
    prefix       text not null unique check (prefix ~ '^[0-9a-f]{8}$'),
    hash         bytea not null check (length(hash) = 32),
    workspace_id uuid not null references flowbuilder.workspaces on delete cascade,
    user_id      uuid not null references flowbuilder.users on delete cascade,
    name         text not null check (length(name) between 1 and 200),
    scopes       text[] not null check (cardinality(scopes) > 0
        and scopes <@ array['read', 'run', 'build', 'approve', 'admin']),
    created_at   timestamptz not null,
    expires_at   timestamptz,
    last_used_at timestamptz,  -- to the minute
    revoked_at   timestamptz
);
create index api_keys_workspace on flowbuilder.api_keys (workspace_id, user_id);

-- Buckets of log-ins, one for each address and each name that was tried.
create table flowbuilder.login_buckets (
    key   text primary key,
    level double precision not null check (level >= 0),
    at    timestamptz not null
) with (fillfactor = 50);

-- Who did what. Nothing here is ever changed; the service's role may not.
create table flowbuilder.audit_log (
    id           bigint generated always as identity primary key,
    at           timestamptz not null,
    workspace_id uuid,
    actor        text not null,
    channel      text not null,  -- session, key, local, cli, system
    address      text,
    action       text not null,
    object       text,
    details      jsonb not null default '{}'
);
create index audit_log_workspace on flowbuilder.audit_log (workspace_id, id);

-- A flow that is archived starts no runs and is out of the list.
alter table flowbuilder.flows add archived_at timestamptz;
