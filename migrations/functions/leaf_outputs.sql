-- The output of a run whose flow names none: the outputs of the completed steps that nothing
-- depends on, by step id.
create or replace function flowbuilder.leaf_outputs(p_run uuid) returns json
language sql stable set search_path = ''
as $$
    select coalesce(json_object_agg(s.step_id, s.output order by s.position), '{}')
    from flowbuilder.runs r
    join flowbuilder.run_steps s on s.run_id = r.id and s.status = 'completed'
    join flowbuilder.version_steps v on v.version_id = r.version_id and v.position = s.position
    where r.id = p_run and cardinality(v.dependents) = 0
$$;
