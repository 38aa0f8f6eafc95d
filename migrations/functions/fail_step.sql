-- A step failed for good: by its `on_error` the run fails (or waits for a new plan, see
-- ask_replan.sql), or the step is skipped, or it completes with null. True when the step has ended and
-- the run goes on.
create or replace function flowbuilder.fail_step(
    p_place flowbuilder.place, p_error jsonb, p_task bigint
) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_policy text;
    v_step   flowbuilder.run_steps;
    v_task   flowbuilder.tasks;
    v_error  jsonb;
begin
    select s.* into v_step from flowbuilder.run_steps s
    where s.run_id = p_place.run_id and s.position = p_place.position;
    select v.on_error into v_policy
    from flowbuilder.runs r
    join flowbuilder.version_steps v
      on v.version_id = r.version_id and v.position = p_place.position
    where r.id = p_place.run_id and (r.finished_at is null) is true;
    select t.* into v_task from flowbuilder.tasks t where t.id = p_task;
    -- A forgiven element of a map was counted as done already.
    if v_policy is null or v_step.finished_at is not null
       or (v_policy <> 'fail' and v_task.element >= 0) then
        return false;
    end if;
    if p_task is null then
        perform flowbuilder.begin_runs(array[p_place.run_id]);
        perform flowbuilder.append_events(array[(p_place.run_id, 'task_failed', v_step.step_id,
            null, null, json_build_object('task_id', null, 'workflow_id', p_place.run_id,
                'step_name', v_step.step_id, 'error', p_error, 'retry_count', 0)
            )::flowbuilder.event_draft]);
    end if;
    if v_policy = 'fail' then
        update flowbuilder.run_steps set status = 'failed', error = p_error,
            finished_at = flowbuilder.now()
        where run_id = p_place.run_id and position = p_place.position;
        v_error := flowbuilder.ask_replan(p_place, p_error || jsonb_build_object(
            'step', v_step.step_id, 'task_id', p_task, 'attempt', v_task.attempt));
        if v_error is not null then
            perform flowbuilder.end_run(p_place.run_id, 'failed', null, v_error);
        end if;
        return false;
    end if;
    if v_policy = 'skip' then
        perform flowbuilder.skip_steps(array[p_place], 'error', p_error);
    else
        update flowbuilder.run_steps set status = 'completed', output = 'null', error = p_error,
            remaining_tasks = 0, finished_at = flowbuilder.now()
        where run_id = p_place.run_id and position = p_place.position;
    end if;
    return true;
end
$$;
