-- Lines of the log of one workspace, or of the installation (`p_workspace` null), newest first.
create or replace function flowbuilder.audit_lines(
    p_workspace uuid, p_before bigint, p_limit integer
) returns setof jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object('id', a.id, 'at', a.at, 'actor', a.actor, 'channel', a.channel,
        'address', a.address, 'action', a.action, 'object', a.object, 'details', a.details)
    from flowbuilder.audit_log a
    where a.workspace_id is not distinct from p_workspace and a.id < p_before
    order by a.id desc limit p_limit
$$;
