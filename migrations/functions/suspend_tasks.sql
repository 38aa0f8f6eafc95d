-- running → waiting for outcomes `waiting`: no worker, no lease and no message until the time, the
-- decision, the event or the child's end comes. A wait for nothing that ever comes is refused.
create or replace function flowbuilder.suspend_tasks(p_outcomes flowbuilder.outcome[]) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now       timestamptz := flowbuilder.now();
    v_task      record;
    v_listening bigint[] := '{}';
begin
    for v_task in
        select t.id, t.run_id, t.attempt, t.step_id, o.wait, w.kind, w.approval_kind, w.args,
            w.flow, w.name, w.key, case w.kind
            when 'time' then case when w.seconds is not null then v_now
                + make_interval(secs => least(w.seconds, 316224000)) end
            when 'approval' then v_now + make_interval(secs => least(
                coalesce(w.deadline_seconds, 86400), 2592000))
            when 'event' then case when length(w.key) <= 500 and length(w.name) <= 100
                    and w.name ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]*$' then v_now
                + make_interval(secs => least(coalesce(w.timeout_seconds, 86400), 316224000)) end
            end as until
        from unnest(p_outcomes) o
        join flowbuilder.tasks t on t.id = o.task_id
        left join lateral json_to_record(o.wait) as w (kind text, seconds double precision,
            deadline_seconds double precision, approval_kind text, args json, flow text,
            name text, key text, timeout_seconds double precision) on true
        where o.kind = 'waiting' order by t.id
    loop
        if v_task.step_id is null
           or v_task.until is null and v_task.kind is distinct from 'run' then
            perform flowbuilder.refuse('invalid', 'bad_wait', 'this wait would never end',
                jsonb_build_object('pointer', '/wait'));
        end if;
        update flowbuilder.tasks
        set status = 'waiting', wait = v_task.wait, available_at = v_task.until, claims = 0,
            lease_until = null,
            args = case when v_task.approval_kind = 'gate' then v_task.args else args end
        where id = v_task.id;
        if v_task.kind = 'approval' then
            perform flowbuilder.request_approval(v_task.id, v_task.until);
        else
            perform flowbuilder.append_events(array[(v_task.run_id, 'task_waiting', v_task.step_id,
                v_task.id, v_task.attempt, json_build_object('task_id', v_task.id,
                    'workflow_id', v_task.run_id, 'step_name', v_task.step_id,
                    'kind', v_task.kind, 'until', v_task.until, 'flow', v_task.flow,
                    'event', v_task.name, 'key', v_task.key))::flowbuilder.event_draft]);
        end if;
        if v_task.kind = 'event' then
            v_listening := v_listening || v_task.id;
            insert into flowbuilder.run_marks (run_id, mark)  -- its tool has declared nothing of it
            select v_task.run_id, 'steps.' || v_task.step_id
            where (v_task.wait ->> 'outside')::boolean on conflict do nothing;
        end if;
        if v_task.kind = 'run' then
            insert into flowbuilder.outbox (kind, run_id, task_id, payload, created_at)
            values ('start_child', v_task.run_id, v_task.id, v_task.wait, v_now);
        end if;
    end loop;
    if v_listening <> '{}' then
        perform flowbuilder.await_events(v_listening);
    end if;
end
$$;
