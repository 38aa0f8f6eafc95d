-- A workspace that is archived starts no runs; everything in it stays to be read, and what runs goes on.
alter table flowbuilder.workspaces add archived_at timestamptz;

-- Tools from elsewhere that a workspace has connected by itself: web APIs described by an OpenAPI
-- document, and MCP servers at an address. The operator's own stand in a file, programs only there.
--
-- A name begins the names of tools, which all workers share, so one workspace has it alone. `id` rises
-- with each connection: it is the version of its tools, so that what was made with one that is gone
-- never means another one. What an MCP server offers is pinned in tool_pins under the same name.
create table flowbuilder.connections (
    id           integer generated always as identity primary key,
    workspace_id uuid not null,
    name         text not null unique check (name ~ '^[a-z][a-z0-9_]{0,39}$'),
    kind         text not null check (kind in ('openapi', 'mcp')),
    definition   json not null,
    document     json,
    created_at   timestamptz not null,
    created_by   text,
    check ((document is not null) = (kind = 'openapi'))
);
create index connections_workspace on flowbuilder.connections (workspace_id);
