-- Whether a version belongs to the workspace that this transaction is about.
create or replace function flowbuilder.owns_version(p_version uuid) returns boolean
language plpgsql stable parallel safe set search_path = ''
as $$
begin
    return exists (select from flowbuilder.flow_versions v
                   where v.id = p_version and v.workspace_id = flowbuilder.this_workspace());
end
$$;
