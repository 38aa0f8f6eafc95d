-- Start the child run that a waiting task asked for; the caller holds the parent's lock. What makes
-- that impossible (a chain of parents that is too long, a version that is not there) fails the task:
-- an error here would come back for ever and hold up everything behind it in the outbox.
create or replace function flowbuilder.start_child(p_task flowbuilder.tasks, p_wait json)
returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_parent flowbuilder.runs;
    v_child  uuid;
    v_error  jsonb;
begin
    select * into v_parent from flowbuilder.runs where id = p_task.run_id;
    if v_parent.depth >= 8 then
        v_error := jsonb_build_object('code', 'too_deep',
            'message', 'child runs nest at most 8 levels deep');
    else
        begin
            v_child := flowbuilder.start_runs(v_parent.workspace_id,
                (p_wait ->> 'version_id')::uuid,
                array[coalesce(p_wait -> 'input', 'null')], array[null]::text[],
                extract(epoch from v_parent.deadline_at - flowbuilder.now()),
                null, v_parent.actor, p_parent => p_task) #>> '{runs,0,0}';
        exception when data_exception or integrity_constraint_violation or sqlstate 'FB001'
                or sqlstate 'FB004' then
            v_error := jsonb_build_object('code', 'child_not_started', 'message', sqlerrm);
        end;
    end if;
    if v_error is not null then
        perform flowbuilder.finish_tasks(array[
            (p_task.id, 'failed', null, v_error, null)::flowbuilder.task_result]);
        return '{}';
    end if;
    if (p_wait ->> 'outside')::boolean then
        insert into flowbuilder.run_marks (run_id, mark) values (v_child, 'input');
    end if;
    perform flowbuilder.append_events(array[(p_task.run_id, 'task_progress', p_task.step_id,
        p_task.id, p_task.attempt, json_build_object('task_id', p_task.id,
            'workflow_id', p_task.run_id, 'child_run_id', v_child))::flowbuilder.event_draft]);
    return array[v_child];
end
$$;
