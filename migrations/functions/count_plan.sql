-- Count a plan that is about to be made; refused when a quota of the workspace is used up. Where none
-- is set this looks into one small table.
create or replace function flowbuilder.count_plan(p_workspace uuid) returns void
language plpgsql set search_path = ''
as $$
begin
    perform from flowbuilder.gates g where g.workspace_id = p_workspace;
    if found then
        perform flowbuilder.check_stored(p_workspace);
        perform flowbuilder.use_quota(p_workspace, 'plans_per_hour', 1);
    end if;
end
$$;
