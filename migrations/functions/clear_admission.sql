-- Take back the limit of a workspace (`p_flow` '') or of one flow; what waited for it alone is let in.
-- Null when there was none, else the runs let in at once.
create or replace function flowbuilder.clear_admission(p_workspace uuid, p_flow text) returns uuid[]
language plpgsql set search_path = ''
as $$
begin
    perform from flowbuilder.gates g where g.workspace_id = p_workspace for update;
    delete from flowbuilder.admission_limits l
    where l.workspace_id = p_workspace and l.flow = p_flow;
    if not found then
        return null;
    end if;
    return flowbuilder.admit_runs(p_workspace);
end
$$;
