-- The short way of an outcome (short_way.sql), for a plain step: nothing waits in the queue, and either
-- the one step behind it, which waits for nothing else, goes on at this worker, or nothing remains and
-- the run has ended. It writes what `report` and `record_turn` write. The row of a run that has ended is
-- `ended`, unless it is large. `r` is the locked run, `t` the task that has completed.
create or replace function flowbuilder.pass_on(
    r flowbuilder.runs, t flowbuilder.tasks, p_result json, p_worker uuid, p_tools text[],
    p_lease interval
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz;
    v_last   boolean := r.remaining_steps = 1 and r.holds = 0;
    v_output json;
    v_ended  json;
    v_data   json;
    v_next   integer;
    n        flowbuilder.version_steps;  -- what goes on, and its task
    k        flowbuilder.tasks;
begin
    if v_last and exists (
        select from flowbuilder.flow_versions v where v.id = r.version_id and v.output is not null
    ) then
        return null;
    end if;
    v_now := flowbuilder.now();  -- nothing begins before what it waited for has ended
    select d.dependents[1] into v_next from flowbuilder.version_steps d
    where d.id = t.node_id and cardinality(d.dependents) = 1 - v_last::integer;
    if found and not v_last then
        select v.* into n
        from flowbuilder.run_steps s join flowbuilder.version_steps v on v.id = s.node_id
        where s.run_id = r.id and s.position = v_next and s.status = 'pending'
          and s.remaining_deps = 1 and s.succeeded_deps + 1 = cardinality(v.depends_on)
          and v.trigger_rule = 'all_success' and v.for_each is null and not v.has_when
          and (v.owner_id is null or v.owner_id = p_worker) and v.tool = any (p_tools);
    end if;
    if not found or flowbuilder.queue_head(p_worker, p_tools, v_now) is not null then
        return null;
    end if;
    update flowbuilder.tasks set status = 'completed', finished_at = v_now, lease_until = null
    where id = t.id;
    update flowbuilder.run_steps set remaining_tasks = remaining_tasks - 1, status = 'completed',
        finished_at = v_now, output = p_result where run_id = r.id and position = t.position;
    if v_last then
        v_output := flowbuilder.leaf_outputs(r.id);
    else
        update flowbuilder.run_steps set remaining_deps = 0, succeeded_deps = succeeded_deps + 1,
            status = 'running', started_at = v_now, task_count = 1, remaining_tasks = 1
        where run_id = r.id and position = n.position;
        insert into flowbuilder.tasks (run_id, position, kind, status, step_id, node_id, tool,
            owner_id, available_at, worker_id, lease_until, fence, claims, attempt, started_at)
        values (r.id, n.position, 'step', 'running', n.step_id, n.id, n.tool, n.owner_id,
            v_now, p_worker, v_now + p_lease, 1, 1, 1, v_now) returning * into k;
        insert into flowbuilder.leases (worker_id, until, tasks)
        values (p_worker, v_now + p_lease, array[k.id]);
    end if;
    update flowbuilder.runs u set last_seq = r.last_seq + 2, remaining_steps = remaining_steps - 1,
        status = case when v_last then 'completed' else 'running' end, output = v_output,
        finished_at = case when v_last then v_now end, watched = watched and not v_last
    where u.id = r.id returning case when v_last and pg_column_size(u.input)
        + pg_column_size(v_output) < 8000 then to_json(u) end into v_ended;
    v_data := json_build_object('result', p_result, 'duration_ms',
        greatest(0, (extract(epoch from v_now - t.started_at) * 1000)::integer));
    insert into flowbuilder.events
        (stream, seq, workspace_id, type, run_id, step_name, task_id, attempt, at, data)
    values (r.id, r.last_seq + 1, r.workspace_id, 'task_completed', r.id, t.step_id, t.id,
            t.attempt, v_now, v_data),
           (r.id, r.last_seq + 2, r.workspace_id,
            case when v_last then 'workflow_completed' else 'task_started' end, r.id,
            n.step_id, k.id, k.attempt, v_now,
            case when v_last then json_build_object('final_result', v_output) else '{}' end);
    if v_last then
        perform flowbuilder.tell_family(array[r.id]);
    end if;
    return json_build_object('tasks', case when not v_last
        then flowbuilder.first_payload(k, r, n, t, p_result) end, 'denied', null, 'lost', null, 'over', null,
        'due', exists (select from flowbuilder.outbox), 'ready', false, 'elsewhere', false,
        'opens_at', null, 'at', v_now, 'ended', v_ended);
end
$$;
