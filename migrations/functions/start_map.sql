-- Make one task per element of a mapped step and admit the first of them. True when the step has
-- ended already: no elements, or a failure that its policy forgives. Does nothing in a run that
-- ended a moment ago, in the same batch.
create or replace function flowbuilder.start_map(p_place flowbuilder.place) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_step     record;
    v_elements json := flowbuilder.map_elements(p_place);
    v_count    integer;
    v_tasks    bigint;
    v_error    jsonb;
begin
    select v.*, r.max_elements, r.max_tasks into v_step
    from flowbuilder.runs r
    join flowbuilder.version_steps v
      on v.version_id = r.version_id and v.position = p_place.position
    where r.id = p_place.run_id and (r.finished_at is null) is true and r.failure is null;
    if not found then
        return false;
    end if;
    if json_typeof(v_elements) is distinct from 'array' then
        v_error := jsonb_build_object('code', 'for_each_not_array', 'message', format(
            'for_each needs an array, but there is %s',
            coalesce(json_typeof(v_elements), 'nothing')));
    else
        v_count := json_array_length(v_elements);
        select v_count + coalesce(sum(s.task_count), 0) into v_tasks
        from flowbuilder.run_steps s where s.run_id = p_place.run_id;
        if v_count > v_step.max_elements then
            v_error := jsonb_build_object('code', 'too_many_elements', 'message', format(
                'for_each has %s elements; the limit is %s', v_count, v_step.max_elements));
        elsif v_tasks > v_step.max_tasks then
            v_error := jsonb_build_object('code', 'too_many_tasks', 'message', format(
                'the run would have %s tasks; the limit is %s', v_tasks, v_step.max_tasks));
        end if;
    end if;
    if v_error is not null then
        return flowbuilder.fail_step(p_place, v_error, null);
    end if;
    update flowbuilder.run_steps
    set task_count = v_count, remaining_tasks = v_count
    where run_id = p_place.run_id and position = p_place.position;
    if v_count = 0 then
        perform flowbuilder.complete_steps(array[p_place], '{}');
        return true;
    end if;
    insert into flowbuilder.tasks
        (run_id, position, element, kind, status, step_id, node_id, tool, owner_id, item)
    select p_place.run_id, p_place.position, e.place - 1, 'step', 'pending', v_step.step_id,
           v_step.id, v_step.tool, v_step.owner_id, e.value
    from json_array_elements(v_elements) with ordinality as e (value, place);
    perform flowbuilder.admit(p_place, least(coalesce(v_step.concurrency, 1000), 1000));
    return false;
end
$$;
