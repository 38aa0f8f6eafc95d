-- The version that runs are to be started of. `p_draft_at`: when the caller read that it is what the
-- flow's draft says; refused when it is not so any more. Of an archived flow nothing is started, by
-- whatever way.
create or replace function flowbuilder.startable_version(
    p_workspace uuid, p_version uuid, p_draft_at timestamptz
) returns flowbuilder.flow_versions
language plpgsql stable set search_path = ''
as $$
declare
    v_version flowbuilder.flow_versions;
    v_flow    record;
begin
    select * into v_version from flowbuilder.flow_versions
    where id = p_version and workspace_id = p_workspace;
    if not found then
        perform flowbuilder.refuse('not_found', 'version_not_found', 'there is no such version');
    end if;
    if v_version.version is not null then  -- else it is no flow's
        select f.head, f.updated_at, f.archived_at into v_flow from flowbuilder.flows f
        where f.workspace_id = p_workspace and f.slug = v_version.slug;
        if p_draft_at is not null and (v_flow.head = v_version.version
                                       and v_flow.updated_at = p_draft_at) is not true then
            perform flowbuilder.refuse('conflict', 'draft_changed',
                'the draft was changed meanwhile');
        elsif v_flow.archived_at is not null then
            perform flowbuilder.refuse('conflict', 'flow_archived',
                format('the flow %s is archived', v_version.slug));
        end if;
    end if;
    return v_version;
end
$$;
