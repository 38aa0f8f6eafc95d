-- A version of a (locked) run's own that a new plan has made. Functions that live in a worker stay
-- where they are; tasks that exist keep the definition that they have.
create or replace function flowbuilder.replan_version(
    p_run flowbuilder.runs, p_document json, p_hash text, p_rows json, p_output json,
    p_places jsonb
) returns flowbuilder.flow_versions
language plpgsql set search_path = ''
as $$
declare
    v_new flowbuilder.flow_versions;
begin
    insert into flowbuilder.flow_versions (workspace_id, slug, content_hash, pins, document, output,
        origin, owner_id, run_id, step_count, created_at, places, outside)
    select v.workspace_id, v.slug, p_hash,
        array(select r ->> 'tool' from json_array_elements(p_rows) r),
        flowbuilder.checked(p_document), p_output, 'run', v.owner_id, p_run.id,
        json_array_length(p_document -> 'steps'), flowbuilder.now(), p_places,
        array(select s ->> 'step_id' from json_array_elements(p_rows) s
              where (s ->> 'outside')::boolean)
    from flowbuilder.flow_versions v where v.id = p_run.version_id
    returning * into v_new;
    perform flowbuilder.register_steps(v_new.id, p_rows, null);
    update flowbuilder.version_steps n set owner_id = o.owner_id
    from flowbuilder.version_steps o
    where n.version_id = v_new.id and o.version_id = p_run.version_id and o.step_id = n.step_id
      and o.tool = n.tool and o.owner_id is not null;
    return v_new;
end
$$;
