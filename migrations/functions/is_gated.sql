-- Whether runs of a flow have to be let in. Null: nothing at all is set in the workspace, which is all
-- that a start looks at there. When true, the gate is locked, before any run is.
create or replace function flowbuilder.is_gated(p_workspace uuid, p_flow text) returns boolean
language plpgsql set search_path = ''
as $$
begin
    perform from flowbuilder.gates g where g.workspace_id = p_workspace;
    if not found then
        return null;
    end if;
    if not exists (select from flowbuilder.admission_limits l
                   where l.workspace_id = p_workspace and l.flow in ('', p_flow)) then
        return false;
    end if;
    perform from flowbuilder.gates g where g.workspace_id = p_workspace for update;
    return true;
end
$$;
