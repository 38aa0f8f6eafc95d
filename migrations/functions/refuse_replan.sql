-- A re-planner says that there is no other way: the run fails with the error that made a new plan
-- needed, and with this reason. False: it is not this owner's to say any more.
create or replace function flowbuilder.refuse_replan(
    p_workspace uuid, p_run uuid, p_number integer, p_owner text, p_reason jsonb, p_usage jsonb
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    perform 1 from flowbuilder.runs
    where id = p_run and workspace_id = p_workspace for update;
    update flowbuilder.replans set usage = p_usage
    where run_id = p_run and number = p_number and owner = p_owner and status = 'open';
    if not found then
        return false;
    end if;
    perform flowbuilder.end_run(p_run, 'failed', null, p_reason);
    return true;
end
$$;
