-- A version of a (locked) run's own: the one it executes and a step more, at the end. The steps that
-- are there stay as they are, down to the tools that they are pinned to; those that the new one
-- depends on know of it. `p_rows` are its row and, if there is one, its compensation's. The run and
-- its steps point to the new version from here on.
create or replace function flowbuilder.grow_version(
    p_run flowbuilder.runs, p_document json, p_hash text, p_rows json, p_owner uuid
) returns flowbuilder.flow_versions
language plpgsql set search_path = ''
as $$
declare
    v_new      flowbuilder.flow_versions;
    v_position integer := (p_rows -> 0 ->> 'position')::integer;
    v_before   integer[] := array(
        select d::integer from json_array_elements_text(p_rows -> 0 -> 'depends_on') d);
begin
    insert into flowbuilder.flow_versions (workspace_id, slug, content_hash, pins, document, output,
        origin, owner_id, run_id, step_count, created_at)
    select v.workspace_id, v.slug, p_hash, v.pins || array(
            select s ->> 'tool' from json_array_elements(p_rows) s),
        flowbuilder.checked(p_document), v.output, 'run', v.owner_id, p_run.id, v.step_count + 1,
        flowbuilder.now()
    from flowbuilder.flow_versions v where v.id = p_run.version_id
    returning * into v_new;
    insert into flowbuilder.version_steps (version_id, position, step_id, tool, definition,
        depends_on, dependents, refs, needs_input, for_each, has_when, trigger_rule, on_error,
        max_attempts, concurrency, limits, owner_id)
    select v_new.id, s.position, s.step_id, s.tool, s.definition, s.depends_on,
        case when s.position = any (v_before) then s.dependents || v_position else s.dependents end,
        s.refs, s.needs_input, s.for_each, s.has_when, s.trigger_rule, s.on_error, s.max_attempts,
        s.concurrency, s.limits, s.owner_id
    from flowbuilder.version_steps s where s.version_id = p_run.version_id;
    perform flowbuilder.register_steps(v_new.id, p_rows, p_owner);
    update flowbuilder.runs
    set version_id = v_new.id, grown_from = coalesce(grown_from, p_run.version_id),
        remaining_steps = remaining_steps + 1
    where id = p_run.id;
    update flowbuilder.run_steps s set node_id = v.id
    from flowbuilder.version_steps v
    where s.run_id = p_run.id and v.version_id = v_new.id and v.position = s.position;
    return v_new;
end
$$;
