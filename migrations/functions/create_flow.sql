-- Store the draft of a new flow.
create or replace function flowbuilder.create_flow(p_workspace uuid, p_draft json)
returns setof flowbuilder.flows
language plpgsql set search_path = ''
as $$
begin
    return query
        insert into flowbuilder.flows (workspace_id, slug, draft, created_at, updated_at)
        values (p_workspace, p_draft ->> 'flow', p_draft, flowbuilder.now(), flowbuilder.now())
        on conflict (workspace_id, slug) do nothing
        returning *;
    if not found then
        perform flowbuilder.refuse('conflict', 'flow_exists',
            format('there is a flow %s already', p_draft ->> 'flow'));
    end if;
end
$$;
