-- Replace the draft of a flow if it is still of the revision that the caller read (`p_revision`; null
-- for whatever it is). Two writers at once cannot lose each other's steps: the second is told.
create or replace function flowbuilder.save_draft(
    p_workspace uuid, p_draft json, p_revision uuid default null
) returns setof flowbuilder.flows
language plpgsql set search_path = ''
as $$
declare
    v_flow flowbuilder.flows;
begin
    select * into v_flow from flowbuilder.flows
    where workspace_id = p_workspace and slug = p_draft ->> 'flow' for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'flow_not_found',
            format('there is no flow %s', p_draft ->> 'flow'));
    end if;
    if v_flow.revision <> p_revision then
        perform flowbuilder.refuse('conflict', 'draft_changed',
            format('the draft of %s was changed meanwhile', v_flow.slug));
    end if;
    delete from flowbuilder.draft_steps where workspace_id = p_workspace and slug = v_flow.slug;
    return query
        update flowbuilder.flows
        set draft = p_draft, revision = gen_random_uuid(), updated_at = flowbuilder.now()
        where workspace_id = p_workspace and slug = v_flow.slug returning *;
end
$$;
