-- Everything a worker needs to run the given tasks: the step's definition, the run, and the outputs
-- that the step refers to. A step without an output of its own (skipped, forgiven, or not ended
-- when `one_success` did not wait for it) is named in `skipped`: paths into it give null.
create or replace function flowbuilder.lease_payload(p_tasks bigint[], p_lease interval)
returns json
language plpgsql stable set search_path = ''
as $$
begin
    return (select coalesce(json_agg(json_build_object(
        'task_id', t.id, 'fence', t.fence, 'run_id', t.run_id, 'kind', t.kind,
        'step_id', v.step_id, 'index', nullif(t.element, -1), 'item', t.item,
        'attempt', t.attempt, 'claims', t.claims,
        'lease_seconds', extract(epoch from p_lease),
        'definition', coalesce(v.definition, f.output -> 'definition'),
        'args', t.args, 'approved', t.approved,
        'run', json_build_object('id', r.id, 'flow', r.flow, 'version', r.version,
                                  'started_at', r.started_at),
        'input', case when coalesce(v.needs_input, (f.output ->> 'needs_input')::boolean)
                 then r.input end,
        'outputs', o.outputs, 'skipped', o.skipped
    ) order by t.id), '[]')
    from flowbuilder.tasks t
    join flowbuilder.runs r on r.id = t.run_id
    join flowbuilder.flow_versions f on f.id = r.version_id
    left join flowbuilder.version_steps v
      on v.version_id = r.version_id and v.position = t.position
    cross join lateral (
        select coalesce(json_object_agg(s.step_id, s.output order by s.position), '{}') as outputs,
               coalesce(json_agg(s.step_id)
                   filter (where s.status <> 'completed' or s.error is not null), '[]') as skipped
        from flowbuilder.run_steps s
        where s.run_id = t.run_id and s.position = any (coalesce(v.refs,
            array(select json_array_elements_text(f.output -> 'refs')::integer)))
    ) o
    where t.id = any (p_tasks));
end
$$;
