-- Give a (locked) run copies of its steps' definitions, in a version of its own that has a step more, at
-- `p_position`, behind the steps `p_before`.
create or replace function flowbuilder.copy_nodes(
    p_run flowbuilder.runs, p_version uuid, p_before integer[], p_position integer
) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.version_steps (version_id, position, step_id, tool, definition,
        depends_on, dependents, refs, needs_input, for_each, has_when, trigger_rule, on_error,
        max_attempts, concurrency, limits, owner_id)
    select p_version, s.position, s.step_id, s.tool, s.definition, s.depends_on,
        case when s.position = any (p_before) then s.dependents || p_position else s.dependents end,
        s.refs, s.needs_input, s.for_each, s.has_when, s.trigger_rule, s.on_error, s.max_attempts,
        s.concurrency, s.limits, s.owner_id
    from flowbuilder.version_steps s where s.version_id = p_run.version_id;
    update flowbuilder.run_steps s set node_id = v.id
    from flowbuilder.version_steps v
    where s.run_id = p_run.id and v.version_id = p_version and v.position = s.position
$$;
