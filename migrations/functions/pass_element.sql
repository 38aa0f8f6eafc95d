-- The short way of an outcome (short_way.sql), for an element of a map: others of its step go on, and the
-- room that it leaves is taken by another one, if that stands first in the queue. It writes what
-- `report`, `claim` and `record_turn` write. `r` is the locked run, `t` the task that has completed.
create or replace function flowbuilder.pass_element(
    r flowbuilder.runs, t flowbuilder.tasks, p_result json, p_worker uuid, p_tools text[],
    p_free integer, p_lease interval
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_head   timestamptz;
    v_ready  boolean := false;
    v        flowbuilder.version_steps;
    q        flowbuilder.tasks;  -- that goes on: as it was queued, and as it runs
    k        flowbuilder.tasks;
begin
    select d.* into v
    from flowbuilder.run_steps s join flowbuilder.version_steps d on d.id = s.node_id
    where s.run_id = t.run_id and s.position = t.position and s.status = 'running'
      and s.remaining_tasks > 1
      and flowbuilder.elements_due(d.concurrency, s.task_count - s.remaining_tasks + 1, 1) = 0;
    if not found then
        return null;
    end if;
    v_head := flowbuilder.queue_head(p_worker, p_tools, v_now);
    if v_head is not null then
        if p_free > 1 or exists (select from flowbuilder.suspects) then
            return null;
        end if;
        select a.* into q from flowbuilder.tasks a
        where a.id = (select f.tasks[1] from flowbuilder.find_work(
            p_worker, p_tools, 1, v_now, '{}') f where f.runs = array[r.id]);
        if (q.position = t.position and q.element >= 0 and q.claims < (
            select w.max_claims from flowbuilder.workers w where w.id = p_worker)) is not true
        then
            return null;
        end if;
    end if;
    update flowbuilder.tasks
    set status = 'completed', finished_at = v_now, lease_until = null, output = p_result
    where id = t.id;
    update flowbuilder.run_steps set remaining_tasks = remaining_tasks - 1
    where run_id = r.id and position = t.position;
    if v_head is not null then
        update flowbuilder.tasks set status = 'running', worker_id = p_worker,
            lease_until = v_now + p_lease, fence = fence + 1, claims = claims + 1,
            attempt = attempt + 1, started_at = v_now, message_id = null
        where id = q.id returning * into k;
        delete from pgmq.q_flowbuilder_tasks m where m.msg_id = q.message_id;
        insert into flowbuilder.leases (worker_id, until, tasks)
        values (p_worker, v_now + p_lease, array[k.id]);
        v_ready := flowbuilder.is_claimable(p_worker, p_tools, v_now);
    end if;
    update flowbuilder.runs u set last_seq = r.last_seq + 1 + (k.id is not null)::integer
    where u.id = r.id;
    insert into flowbuilder.events
        (stream, seq, workspace_id, type, run_id, step_name, task_id, attempt, at, data)
    select r.id, r.last_seq + e.nth, r.workspace_id, e.type, r.id, t.step_id, e.task, e.attempt,
        v_now, e.data
    from (values
        (1, 'task_completed', t.id, t.attempt, json_build_object('index', t.element, 'result',
            p_result, 'duration_ms',
            greatest(0, (extract(epoch from v_now - t.started_at) * 1000)::integer))),
        (2, 'task_started', k.id, k.attempt, json_build_object('index', k.element))
        ) as e (nth, type, task, attempt, data)
    where e.task is not null;
    return json_build_object(
        'tasks', case when k.id is not null then flowbuilder.first_payload(k, r, v) end,
        'denied', null, 'lost', null, 'over', null, 'due', exists (select from flowbuilder.outbox),
        'ready', v_ready, 'elsewhere', v_ready or v_head is not null and flowbuilder.is_queued(v_now),
        'opens_at', null, 'at', v_now, 'ended', null);
end
$$;
