-- Suspend a tool that is not described as it was approved, or was not approved at all.
create or replace function flowbuilder.suspend_tool(
    p_workspace uuid, p_server text, p_tool text, p_fingerprint text, p_found json, p_reason text
) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.tool_pins as t (workspace_id, server, tool, fingerprint, descriptor,
        status, reason, found, updated_at)
    values (p_workspace, p_server, p_tool, p_fingerprint, flowbuilder.checked(p_found),
        'suspended', p_reason, flowbuilder.checked(p_found), flowbuilder.now())
    on conflict (workspace_id, server, tool) do update
    set status = 'suspended', reason = excluded.reason, found = excluded.found,
        updated_at = excluded.updated_at, updated_by = null
$$;
