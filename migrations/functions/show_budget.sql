-- The budget that a run belongs to and what is spent of it, null for a run without one.
create or replace function flowbuilder.show_budget(p_workspace uuid, p_run uuid) returns jsonb
language sql stable set search_path = ''
as $$
    select to_jsonb(u) from flowbuilder.runs r
    cross join lateral flowbuilder.budget_of(r.id) u
    where r.id = p_run and r.workspace_id = p_workspace and u.root_id is not null
$$;
