-- running → queued for what workers held in the given (locked) runs; the lost try costs none.
create or replace function flowbuilder.requeue_tasks(p_workers uuid[], p_runs uuid[])
returns void
language plpgsql set search_path = ''
as $$
declare
    v_events flowbuilder.event_draft[];
begin
    with back as (
        update flowbuilder.tasks t
        set status = 'queued', lease_until = null, available_at = flowbuilder.now(),
            attempt = greatest(t.attempt - 1, 0)
        where t.worker_id = any (p_workers) and t.status = 'running' and t.run_id = any (p_runs)
        returning t.*
    ),
    shown as (
        update pgmq.q_flowbuilder_tasks q set vt = b.available_at
        from back b where q.msg_id = b.message_id
    )
    select array_agg((b.run_id, 'task_retrying', s.step_id, b.id, b.attempt, json_build_object(
        'task_id', b.id, 'workflow_id', b.run_id, 'step_name', s.step_id,
        'error', '{"code": "worker_lost", "message": "the worker is gone"}'::jsonb,
        'retry_count', b.attempt, 'available_at', b.available_at)
        )::flowbuilder.event_draft order by b.id) filter (where b.kind = 'step')
    into v_events
    from back b
    left join flowbuilder.run_steps s on s.run_id = b.run_id and s.position = b.position;
    if v_events is not null then
        perform flowbuilder.append_events(v_events);
    end if;
end
$$;
