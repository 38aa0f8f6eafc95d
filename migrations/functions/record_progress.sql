-- Write a task_progress event of an attempt that is still its worker's. False when it is not.
create or replace function flowbuilder.record_progress(
    p_worker uuid, p_task bigint, p_fence integer, p_data jsonb
) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_task flowbuilder.tasks;
begin
    select * into v_task from flowbuilder.tasks where id = p_task;
    perform flowbuilder.lock_runs(array[v_task.run_id]);
    select * into v_task from flowbuilder.tasks
    where id = p_task and fence = p_fence and worker_id = p_worker and status = 'running';
    if not found then
        return false;
    end if;
    perform flowbuilder.append_events(array[(v_task.run_id, 'task_progress', v_task.step_id,
        p_task, v_task.attempt, (p_data || jsonb_build_object('task_id', p_task,
            'workflow_id', v_task.run_id))::json)::flowbuilder.event_draft]);
    return true;
end
$$;
