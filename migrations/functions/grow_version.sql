-- A version of a (locked) run's own: the one it executes and a step more, at the end. The steps that
-- are there stay as they are, down to the tools that they are pinned to; those that the new one
-- depends on know of it. `p_rows` are its row and, if there is one, its compensation's. The run and
-- its steps point to the new version from here on. The rows of the steps pass from one version of the
-- run's own to the next, so that there are no more of them than steps; they are copied from a version
-- that others use too.
create or replace function flowbuilder.grow_version(
    p_run flowbuilder.runs, p_document json, p_hash text, p_rows json, p_owner uuid
) returns flowbuilder.flow_versions
language plpgsql set search_path = ''
as $$
declare
    v_new      flowbuilder.flow_versions;
    v_position integer := (p_rows -> 0 ->> 'position')::integer;
    v_own      boolean;
    v_before   integer[] := array(
        select d::integer from json_array_elements_text(p_rows -> 0 -> 'depends_on') d);
begin
    insert into flowbuilder.flow_versions (workspace_id, slug, content_hash, pins, document, output,
        origin, owner_id, run_id, step_count, created_at, places, outside)
    select v.workspace_id, v.slug, p_hash, v.pins || array(
            select s ->> 'tool' from json_array_elements(p_rows) s),
        flowbuilder.checked(p_document), v.output, 'run', v.owner_id, p_run.id, v.step_count + 1,
        flowbuilder.now(), jsonb_set(v.places, array['steps', p_rows -> 0 ->> 'step_id'],
            to_jsonb(v_position)) || jsonb_build_object('next', v_position + 1),
        v.outside || array(select s ->> 'step_id' from json_array_elements(p_rows) s
                           where (s ->> 'outside')::boolean)
    from flowbuilder.flow_versions v where v.id = p_run.version_id
    returning * into v_new;
    select coalesce(v.run_id = p_run.id, false) and not exists (
        select from flowbuilder.runs o
        where o.version_id = v.id and o.grown_from is not null and o.retry_of is not null
          and o.id <> p_run.id)
    into v_own from flowbuilder.flow_versions v where v.id = p_run.version_id;
    if v_own then
        update flowbuilder.version_steps s
        set version_id = v_new.id, dependents = case when s.position = any (v_before)
            then s.dependents || v_position else s.dependents end
        where s.version_id = p_run.version_id;
    else
        perform flowbuilder.copy_nodes(p_run, v_new.id, v_before, v_position);
    end if;
    perform flowbuilder.register_steps(v_new.id, p_rows, p_owner);
    update flowbuilder.runs
    set version_id = v_new.id, grown_from = coalesce(grown_from, p_run.version_id),
        remaining_steps = remaining_steps + 1
    where id = p_run.id;
    return v_new;
end
$$;
