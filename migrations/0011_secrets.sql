-- Secrets: sealed values, and who may have them.

-- `sealed` is the value under a data key of its own, `wrapped` that key under the master key named
-- by `key_id`. Both are bound to workspace, id, name and version, so that a row's values open in that
-- row only. The master key is never in the database.
create table flowbuilder.secrets (
    workspace_id uuid not null,
    name         text not null,
    id           uuid not null,
    version      integer not null check (version > 0),
    hosts        text[] not null,
    tools        text[] not null,
    description  text,
    key_id       text not null,
    wrapped      bytea not null,
    sealed       bytea not null,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    updated_by   text,
    primary key (workspace_id, name),
    check (cardinality(hosts) + cardinality(tools) > 0)
);

-- Tools of MCP servers as they were approved. What a server says later is held against it: a tool
-- that says something else is suspended, with what was found, until somebody approves that.
create table flowbuilder.tool_pins (
    workspace_id uuid not null,
    server       text not null,
    tool         text not null,
    version      integer not null default 1 check (version > 0),
    fingerprint  text not null,
    descriptor   json not null,
    status       text not null check (status in ('approved', 'suspended')),
    reason       text,
    found        json,
    updated_at   timestamptz not null,
    updated_by   text,
    primary key (workspace_id, server, tool),
    check ((status = 'suspended') = (reason is not null))
);
