-- Store the compiled steps of a version; the step rows are described in executor/graphs.py.
create or replace function flowbuilder.register_steps(p_version uuid, p_steps jsonb, p_owner uuid)
returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.version_steps (version_id, position, step_id, tool, definition,
        depends_on, dependents, refs, needs_input, for_each, has_when, trigger_rule, on_error,
        max_attempts, concurrency, owner_id)
    select p_version, (s ->> 'position')::integer, s ->> 'step_id', s ->> 'tool', s -> 'definition',
        array(select jsonb_array_elements_text(s -> 'depends_on')::integer),
        array(select jsonb_array_elements_text(s -> 'dependents')::integer),
        array(select jsonb_array_elements_text(s -> 'refs')::integer),
        (s ->> 'needs_input')::boolean, nullif(s -> 'for_each', 'null'),
        (s ->> 'has_when')::boolean, s ->> 'trigger_rule', s ->> 'on_error',
        (s ->> 'max_attempts')::integer, (s ->> 'concurrency')::integer,
        case when (s ->> 'owner')::boolean then p_owner end
    from jsonb_array_elements(p_steps) s
$$;
