-- Forget everything that a workspace has learnt, what is still to be learnt and what was decided.
create or replace function flowbuilder.forget_all(p_workspace uuid) returns bigint
language plpgsql set search_path = ''
as $$
declare
    v_count bigint;
begin
    delete from flowbuilder.memory_pending p where p.workspace_id = p_workspace;
    delete from flowbuilder.memory_rules r where r.workspace_id = p_workspace;
    delete from flowbuilder.memories m where m.workspace_id = p_workspace;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;
