-- How many rows belong to the given runs.
create or replace function flowbuilder.weigh_runs(p_runs uuid[]) returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object(
        'runs', coalesce(cardinality(p_runs), 0),
        'steps', (select count(*) from flowbuilder.run_steps s where s.run_id = any (p_runs)),
        'tasks', (select count(*) from flowbuilder.tasks t where t.run_id = any (p_runs)),
        'events', (select count(*) from flowbuilder.events e where e.stream = any (p_runs)),
        'approvals', (select count(*) from flowbuilder.approvals a where a.run_id = any (p_runs)))
$$;
