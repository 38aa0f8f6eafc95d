-- Whether a run belongs to the workspace that this transaction is about. A function of its own, so
-- that the rule on rows of runs is one look-up by id, whatever else a statement asks for.
create or replace function flowbuilder.owns_run(p_run uuid) returns boolean
language plpgsql stable parallel safe set search_path = ''
as $$
begin
    return exists (select from flowbuilder.runs r
                   where r.id = p_run and r.workspace_id = flowbuilder.this_workspace());
end
$$;
