-- The output of a run whose flow names none: the outputs of the completed steps that nothing
-- depends on, by step id.
create or replace function flowbuilder.leaf_outputs(p_run uuid) returns json
language plpgsql stable set search_path = ''
as $$
begin
    return (
        select coalesce(json_object_agg(s.step_id, s.output order by s.position), '{}')
        from flowbuilder.run_steps s
        join flowbuilder.version_steps v on v.id = s.node_id
        where s.run_id = p_run and s.status = 'completed' and v.dependents = '{}');
end
$$;
