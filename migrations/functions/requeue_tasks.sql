-- running → queued, with a new message, for tasks of (locked) runs whose worker is lost; the lost
-- try costs none.
create or replace function flowbuilder.requeue_tasks(p_tasks bigint[]) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_back   bigint[];
    v_events flowbuilder.event_draft[];
begin
    perform flowbuilder.suspect_tasks(p_tasks);
    with back as (
        update flowbuilder.tasks t
        set status = 'queued', worker_id = null, lease_until = null,
            available_at = coalesce(t.available_at, v_now),
            attempt = greatest(t.attempt - 1, 0)
        where t.id = any (p_tasks) and t.status = 'running'
        returning t.*
    )
    select array_agg(b.id order by b.id),
           array_agg((b.run_id, 'task_retrying', b.step_id, b.id, b.attempt, json_build_object(
               'error', '{"code": "worker_lost", "message": "the worker is gone"}'::jsonb,
               'retry_count', b.attempt, 'available_at', b.available_at)
               )::flowbuilder.event_draft order by b.id) filter (where b.kind in ('step', 'compensate'))
    into v_back, v_events from back b;
    if v_back is not null then
        perform flowbuilder.send_tasks(v_back);
        perform flowbuilder.free_slots(v_back);
        insert into flowbuilder.tallies values ('leases_expired', cardinality(v_back));
    end if;
    if v_events is not null then
        perform flowbuilder.append_events(v_events);
    end if;
end
$$;
