-- Approve a tool as it is described. Without p_replace only where nothing is known of it yet. Another
-- description is another version.
create or replace function flowbuilder.pin_tool(
    p_workspace uuid, p_server text, p_tool text, p_fingerprint text, p_descriptor json,
    p_replace boolean, p_actor text
) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.tool_pins as t (workspace_id, server, tool, fingerprint, descriptor,
        status, updated_at, updated_by)
    values (p_workspace, p_server, p_tool, p_fingerprint, flowbuilder.checked(p_descriptor),
        'approved', flowbuilder.now(), p_actor)
    on conflict (workspace_id, server, tool) do update
    set version = t.version + (t.fingerprint <> excluded.fingerprint)::integer,
        fingerprint = excluded.fingerprint, descriptor = excluded.descriptor,
        status = 'approved', reason = null, found = null,
        updated_at = excluded.updated_at, updated_by = excluded.updated_by
    where p_replace
$$;
