-- The version that runs are to be started of. `p_draft_at`: when the caller read that it is what the
-- flow's draft says; refused when it is not so any more.
create or replace function flowbuilder.startable_version(
    p_workspace uuid, p_version uuid, p_draft_at timestamptz
) returns flowbuilder.flow_versions
language plpgsql stable set search_path = ''
as $$
declare
    v_version flowbuilder.flow_versions;
begin
    select * into v_version from flowbuilder.flow_versions
    where id = p_version and workspace_id = p_workspace;
    if not found then
        perform flowbuilder.refuse('not_found', 'version_not_found', 'there is no such version');
    end if;
    if p_draft_at is not null and not exists (
        select from flowbuilder.flows f where f.workspace_id = p_workspace
          and f.slug = v_version.slug and f.head = v_version.version and f.updated_at = p_draft_at)
    then
        perform flowbuilder.refuse('conflict', 'draft_changed', 'the draft was changed meanwhile');
    end if;
    return v_version;
end
$$;
