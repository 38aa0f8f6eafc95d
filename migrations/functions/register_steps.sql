-- Store the compiled steps of a version; the step rows are described in executor/graphs.py.
create or replace function flowbuilder.register_steps(p_version uuid, p_steps json, p_owner uuid)
returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.version_steps (version_id, position, step_id, tool, definition,
        depends_on, dependents, refs, needs_input, for_each, has_when, trigger_rule, on_error,
        max_attempts, concurrency, limits, owner_id)
    select p_version, s.position, s.step_id, s.tool, s.definition, s.depends_on, s.dependents,
        s.refs, s.needs_input, s.for_each, s.has_when, s.trigger_rule, s.on_error,
        s.max_attempts, s.concurrency, s.limits, case when s.owner then p_owner end
    from json_to_recordset(p_steps) as s (position integer, step_id text, tool text,
        definition json, depends_on integer[], dependents integer[], refs integer[],
        needs_input boolean, for_each json, has_when boolean, trigger_rule text, on_error text,
        max_attempts integer, concurrency integer, limits json, owner boolean)
$$;
