-- Write a line of the log. `p_by`: {actor, channel, address} as the service or the command line says.
create or replace function flowbuilder.note_audit(
    p_by jsonb, p_workspace uuid, p_action text, p_object text, p_details jsonb default '{}'
) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.audit_log (at, workspace_id, actor, channel, address, action, object, details)
    values (flowbuilder.now(), p_workspace, coalesce(p_by ->> 'actor', 'system'),
            coalesce(p_by ->> 'channel', 'system'), p_by ->> 'address', p_action, p_object, p_details)
$$;
