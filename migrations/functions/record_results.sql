-- running, waiting or queued → completed, failed or skipped: the rows and their events. Returns the
-- tasks that ended by this; one that had ended before stays as it is.
create or replace function flowbuilder.record_results(p_results flowbuilder.task_result[])
returns bigint[]
language plpgsql set search_path = ''
as $$
declare
    v_closed bigint[];
    v_events flowbuilder.event_draft[];
begin
    perform flowbuilder.drop_messages(array(select r.task_id from unnest(p_results) r));
    with closed as (
        update flowbuilder.tasks t
        set status = g.status, error = g.error, finished_at = flowbuilder.now(),
            output = case when g.status = 'completed' and t.element >= 0
                     then coalesce(g.output, 'null') end,
            lease_until = null, wait = null, slot = null, message_id = null, available_at = null,
            blocked_by = null
        from unnest(p_results) with ordinality as g (task_id, status, output, error, reason, place)
        where t.id = g.task_id and t.finished_at is null
        returning t.*, coalesce(g.output, 'null') as result, g.place, greatest(0, round(extract(epoch from
            t.finished_at - coalesce(t.started_at, t.finished_at)) * 1000)) as duration
    )
    select array_agg(c.id), array_agg((c.run_id, 'task_' || c.status, c.step_id, c.id, c.attempt,
        case when c.status <> 'completed' then (
                jsonb_build_object('task_id', c.id, 'workflow_id', c.run_id,
                    'step_name', c.step_id, 'error', c.error,
                    'retry_count', greatest(c.attempt - 1, 0))
                || case when c.element >= 0 then jsonb_build_object('index', c.element)
                   else '{}' end)::json
            when c.element >= 0 then json_build_object('task_id', c.id, 'workflow_id', c.run_id,
                'step_name', c.step_id, 'index', c.element, 'result', c.result,
                'duration_ms', c.duration)
            else json_build_object('task_id', c.id, 'workflow_id', c.run_id,
                'step_name', c.step_id, 'result', c.result, 'duration_ms', c.duration)
            end)::flowbuilder.event_draft order by c.place)
               filter (where c.kind in ('step', 'compensate') and c.status = 'completed'
                       or c.kind <> 'finish' and c.status = 'failed')
    into v_closed, v_events
    from closed c;
    if v_events is not null then
        perform flowbuilder.begin_runs(array(select distinct e.run_id from unnest(v_events) e));
        perform flowbuilder.append_events(v_events);
    end if;
    return coalesce(v_closed, '{}');
end
$$;
