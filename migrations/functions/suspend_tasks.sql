-- running → waiting for outcomes `waiting`: no worker, no lease and no message until the time, the
-- decision or the child's end comes. A wait for nothing that ever comes is refused.
create or replace function flowbuilder.suspend_tasks(p_outcomes jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now  timestamptz := flowbuilder.now();
    v_task record;
begin
    for v_task in
        select t.id, t.run_id, t.attempt, s.step_id, o -> 'wait' as wait, case o #>> '{wait,kind}'
            when 'time' then case when o #>> '{wait,seconds}' is not null then v_now
                + make_interval(secs => least((o #>> '{wait,seconds}')::float8, 316224000)) end
            when 'approval' then v_now + make_interval(secs => least(
                coalesce((o #>> '{wait,deadline_seconds}')::double precision, 86400), 316224000))
            end as until
        from jsonb_array_elements(p_outcomes) o
        join flowbuilder.tasks t on t.id = (o ->> 'task_id')::bigint
        left join flowbuilder.run_steps s on s.run_id = t.run_id and s.position = t.position
        where o ->> 'kind' = 'waiting' order by t.id
    loop
        if v_task.step_id is null
           or v_task.until is null and v_task.wait ->> 'kind' is distinct from 'run' then
            perform flowbuilder.refuse('invalid', 'bad_wait', 'this wait would never end',
                jsonb_build_object('pointer', '/wait'));
        end if;
        perform flowbuilder.drop_messages(array[v_task.id]);
        update flowbuilder.tasks
        set status = 'waiting', wait = v_task.wait, available_at = v_task.until, claims = 0,
            lease_until = null, message_id = null,
            args = case when v_task.wait ->> 'approval_kind' = 'gate'
                   then v_task.wait -> 'args' else args end
        where id = v_task.id;
        if v_task.wait ->> 'kind' = 'approval' then
            perform flowbuilder.request_approval(v_task.id, v_task.until);
        else
            perform flowbuilder.append_events(array[(v_task.run_id, 'task_waiting', v_task.step_id,
                v_task.id, v_task.attempt, jsonb_build_object('task_id', v_task.id,
                    'workflow_id', v_task.run_id, 'step_name', v_task.step_id,
                    'kind', v_task.wait -> 'kind', 'until', v_task.until,
                    'flow', v_task.wait -> 'flow'))::flowbuilder.event_draft]);
        end if;
        if v_task.wait ->> 'kind' = 'run' then
            insert into flowbuilder.outbox (kind, run_id, task_id, payload, created_at)
            values ('start_child', v_task.run_id, v_task.id, v_task.wait, v_now);
        end if;
    end loop;
end
$$;
