-- Start the child run that a waiting task asked for; the caller holds the parent's lock. A chain of
-- parents that is too long fails the task instead.
create or replace function flowbuilder.start_child(p_task flowbuilder.tasks, p_wait jsonb)
returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_parent flowbuilder.runs;
    v_child  uuid;
begin
    select * into v_parent from flowbuilder.runs where id = p_task.run_id;
    if v_parent.depth >= 8 then
        perform flowbuilder.finish_tasks(array[(p_task.id, 'failed', null, jsonb_build_object(
            'code', 'too_deep', 'message', 'child runs nest at most 8 levels deep'),
            null)::flowbuilder.task_result]);
        return '{}';
    end if;
    select s.run_id into v_child from flowbuilder.start_run(v_parent.workspace_id,
        (p_wait ->> 'version_id')::uuid, coalesce(p_wait -> 'input', 'null'), null,
        extract(epoch from v_parent.deadline_at - flowbuilder.now()),
        null, v_parent.actor, p_task) s;
    perform flowbuilder.append_events(array[(p_task.run_id, 'task_progress',
        (select s.step_id from flowbuilder.run_steps s
         where s.run_id = p_task.run_id and s.position = p_task.position),
        p_task.id, p_task.attempt, jsonb_build_object('task_id', p_task.id,
            'workflow_id', p_task.run_id, 'child_run_id', v_child))::flowbuilder.event_draft]);
    return array[v_child];
end
$$;
