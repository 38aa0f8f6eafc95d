-- running → queued for outcomes `retry` (after a delay that waits in the table, not in the queue)
-- and `released` (handed back: costs no attempt, visible at once).
create or replace function flowbuilder.return_tasks(p_outcomes flowbuilder.outcome[]) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_back   bigint[];
    v_now_on bigint[];
    v_events flowbuilder.event_draft[];
begin
    select array_agg(o.task_id) into v_back
    from unnest(p_outcomes) o where o.kind in ('retry', 'released');
    if v_back is null then
        return;
    end if;
    with back as (
        update flowbuilder.tasks t
        set status = 'queued', lease_until = null, claims = 0,
            attempt = t.attempt - case when o.kind = 'released' then 1 else 0 end,
            available_at = case when o.kind = 'released' then coalesce(t.available_at, v_now)
                else v_now + make_interval(secs => greatest(coalesce(o.delay_seconds, 0), 0)) end
        from unnest(p_outcomes) o
        where t.id = o.task_id and o.kind in ('retry', 'released')
        returning t.*, o.kind as outcome, o.error as reported
    )
    select array_agg(b.id order by b.id) filter (where b.available_at <= v_now),
           array_agg((b.run_id, 'task_retrying', b.step_id, b.id, b.attempt, json_build_object(
               'task_id', b.id, 'workflow_id', b.run_id, 'step_name', b.step_id,
               'error', b.reported, 'retry_count', b.attempt, 'available_at', b.available_at)
               )::flowbuilder.event_draft order by b.id)
               filter (where b.outcome = 'retry' and b.kind in ('step', 'compensate'))
    into v_now_on, v_events
    from back b;
    if v_now_on is not null then
        perform flowbuilder.send_tasks(v_now_on);
    end if;
    if v_events is not null then
        perform flowbuilder.append_events(v_events);
    end if;
end
$$;
