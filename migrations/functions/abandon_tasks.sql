-- Cancel everything open in a run that ends: tasks, steps, approvals and messages. Only what was
-- under way gets an event; thousands of queued elements would only bury the last one.
create or replace function flowbuilder.abandon_tasks(p_run uuid) returns void
language plpgsql set search_path = ''
as $$
declare
    v_open   bigint[];
    v_events flowbuilder.event_draft[];
begin
    select array_agg(t.id),
           array_agg((p_run, 'task_cancelled', t.step_id, t.id, t.attempt, json_build_object(
               'task_id', t.id, 'workflow_id', p_run, 'step_name', t.step_id)
               )::flowbuilder.event_draft order by t.id)
               filter (where t.status in ('running', 'waiting')
                   and t.kind in ('step', 'compensate'))
    into v_open, v_events
    from flowbuilder.tasks t
    where t.run_id = p_run and t.finished_at is null;
    if v_open is not null then
        perform flowbuilder.drop_messages(v_open);
        update flowbuilder.tasks
        set status = 'cancelled', finished_at = flowbuilder.now(), lease_until = null,
            wait = null, slot = null, message_id = null, available_at = null, blocked_by = null
        where id = any (v_open);
        perform flowbuilder.free_slots(v_open);
    end if;
    update flowbuilder.run_steps set status = 'cancelled', finished_at = flowbuilder.now()
    where run_id = p_run and status in ('pending', 'running');
    update flowbuilder.approvals set status = 'cancelled', decided_at = flowbuilder.now()
    where run_id = p_run and status = 'pending';
    if v_events is not null then
        perform flowbuilder.append_events(v_events);
    end if;
end
$$;
