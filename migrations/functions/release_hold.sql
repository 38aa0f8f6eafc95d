-- Let go of a run that `p_owner` holds open. When nothing else is left, it completes; with an
-- `p_error` it fails instead: what was still to come will not. False: it was not held, or has ended.
create or replace function flowbuilder.release_hold(
    p_workspace uuid, p_run uuid, p_owner text, p_error jsonb
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    perform 1 from flowbuilder.runs
    where id = p_run and workspace_id = p_workspace for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'run_not_found', 'there is no such run');
    end if;
    delete from flowbuilder.run_holds where run_id = p_run and owner = p_owner;
    if not found then
        return false;
    end if;
    update flowbuilder.runs set holds = holds - 1 where id = p_run;
    if p_error is not null then
        perform flowbuilder.end_run(p_run, 'failed', null, p_error);
    else
        perform flowbuilder.finish_runs(array[p_run]);
    end if;
    return true;
end
$$;
