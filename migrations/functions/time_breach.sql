-- The error of a run that has no time left of its budget; null when it has, or has no such budget.
create or replace function flowbuilder.time_breach(p_run uuid) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
    v_use flowbuilder.budget_use := flowbuilder.budget_of(p_run);
begin
    if (v_use.seconds >= v_use.max_seconds - 0.001) is not true then
        return null;
    end if;
    v_use.seconds := greatest(v_use.seconds, v_use.max_seconds);
    return flowbuilder.budget_breach((v_use.root_id, null, null, v_use.max_seconds, null, null,
        null, null, null, null, null, v_use.seconds)::flowbuilder.budget_use, 1);
end
$$;
