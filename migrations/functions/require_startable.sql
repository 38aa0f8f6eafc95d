-- Refuse a flow that triggers may not start: deleted, or archived.
create or replace function flowbuilder.require_startable(p_workspace uuid, p_flow text) returns void
language plpgsql stable set search_path = ''
as $$
declare
    v_archived timestamptz;
begin
    select f.archived_at into v_archived from flowbuilder.flows f
    where f.workspace_id = p_workspace and f.slug = p_flow;
    if not found then
        perform flowbuilder.refuse('not_found', 'flow_not_found', 'there is no flow ' || p_flow);
    elsif v_archived is not null then
        perform flowbuilder.refuse('transition', 'flow_archived',
            'the flow ' || p_flow || ' is archived');
    end if;
end
$$;
