-- Cancel what one step of a (locked) run has still under way: the other elements of a map of which one
-- failed, with their messages, approvals and child runs. As in abandon_tasks, only what was under way
-- gets an event.
create or replace function flowbuilder.abandon_step(p_place flowbuilder.place) returns void
language plpgsql set search_path = ''
as $$
declare
    v_open   bigint[];
    v_events flowbuilder.event_draft[];
begin
    select array_agg(t.id),
           array_agg((t.run_id, 'task_cancelled', t.step_id, t.id, t.attempt, json_build_object(
               'task_id', t.id, 'workflow_id', t.run_id, 'step_name', t.step_id)
               )::flowbuilder.event_draft order by t.id)
               filter (where t.status in ('running', 'waiting') and t.kind = 'step')
    into v_open, v_events
    from flowbuilder.tasks t
    where t.run_id = p_place.run_id and t.position = p_place.position and t.finished_at is null;
    if v_open is null then
        return;
    end if;
    perform flowbuilder.drop_messages(v_open);
    update flowbuilder.tasks
    set status = 'cancelled', finished_at = flowbuilder.now(), lease_until = null,
        wait = null, slot = null, message_id = null, available_at = null, blocked_by = null
    where id = any (v_open);
    perform flowbuilder.free_slots(v_open);
    update flowbuilder.approvals set status = 'cancelled', decided_at = flowbuilder.now()
    where task_id = any (v_open) and status = 'pending' and run_id = p_place.run_id;
    insert into flowbuilder.outbox (kind, run_id, task_id, payload, created_at)
    select 'cancel_child', c.id, null, json_build_object('reason', 'the step that wants it failed'),
           flowbuilder.now()
    from flowbuilder.runs c
    where c.parent_run_id = p_place.run_id and c.parent_task_id = any (v_open)
      and (c.finished_at is null) is true;
    if v_events is not null then
        perform flowbuilder.append_events(v_events);
    end if;
end
$$;
