-- The short way of an exchange, for the one outcome of a system that is not busy: a plain step has
-- completed, nothing waits in the queue, and either the one step behind it, which waits for nothing
-- else, goes on at this worker, or nothing remains and the run has ended. It writes row by row what
-- `report` and `record_turn` write for many. Wherever there is more to judge it answers null and has
-- written nothing: then they do it.
create or replace function flowbuilder.pass_on(
    p_worker uuid, o flowbuilder.outcome, p_tools text[], p_lease interval
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz;
    v_task   bigint;
    v_result json := coalesce(o.output, 'null');
    v_output json;
    r        record;
    t        record;
    n        record;
begin
    select u.id, u.workspace_id, u.last_seq, u.remaining_steps = 1 and u.holds = 0
        and not exists (select from flowbuilder.flow_versions v
                        where v.id = u.version_id and v.output is not null) as last into r
    from flowbuilder.runs u where u.id = o.run_id and (u.status = 'running') is true for update;
    if not found or o.kind <> 'completed' or flowbuilder.has_limits() then
        return null;
    end if;
    v_now := flowbuilder.now();  -- nothing begins before what it waited for has ended
    select a.id, a.position, a.step_id, a.attempt, d.dependents[1] as next, json_build_object(
        'result', v_result, 'duration_ms',
        greatest(0, (extract(epoch from v_now - a.started_at) * 1000)::integer)) as data into t
    from flowbuilder.tasks a join flowbuilder.version_steps d on d.id = a.node_id
    where a.id = o.task_id and a.fence = o.fence and (a.run_id = r.id) is true and a.kind = 'step'
      and (a.worker_id = p_worker) is true and (a.status = 'running') is true and a.element < 0
      and cardinality(d.dependents) = 1 - r.last::integer;
    if not found then
        return null;
    end if;
    select s.position, s.step_id, s.node_id, v.tool, v.owner_id into n
    from flowbuilder.run_steps s join flowbuilder.version_steps v on v.id = s.node_id
    where s.run_id = r.id and s.position = t.next and s.status = 'pending'
      and s.remaining_deps = 1 and s.succeeded_deps + 1 = cardinality(v.depends_on)
      and v.trigger_rule = 'all_success' and v.for_each is null and not v.has_when
      and (v.owner_id is null or v.owner_id = p_worker) and v.tool = any (p_tools);
    if found = r.last or flowbuilder.queue_head(p_worker, p_tools, v_now) is not null then
        return null;
    end if;
    update flowbuilder.tasks set status = 'completed', finished_at = v_now, lease_until = null
    where id = t.id;
    update flowbuilder.run_steps set remaining_tasks = remaining_tasks - 1, status = 'completed',
        finished_at = v_now, output = v_result where run_id = r.id and position = t.position;
    if r.last then
        v_output := flowbuilder.leaf_outputs(r.id);
    else
        update flowbuilder.run_steps set remaining_deps = 0, succeeded_deps = succeeded_deps + 1,
            status = 'running', started_at = v_now, task_count = 1, remaining_tasks = 1
        where run_id = r.id and position = n.position;
        insert into flowbuilder.tasks (run_id, position, kind, status, step_id, node_id, tool,
            owner_id, available_at, worker_id, lease_until, fence, claims, attempt, started_at)
        values (r.id, n.position, 'step', 'running', n.step_id, n.node_id, n.tool, n.owner_id,
            v_now, p_worker, v_now + p_lease, 1, 1, 1, v_now) returning id into v_task;
        insert into flowbuilder.leases (worker_id, until, tasks)
        values (p_worker, v_now + p_lease, array[v_task]);
    end if;
    update flowbuilder.runs set last_seq = r.last_seq + 2, remaining_steps = remaining_steps - 1,
        status = case when r.last then 'completed' else 'running' end, output = v_output,
        finished_at = case when r.last then v_now end, watched = watched and not r.last
    where id = r.id;
    insert into flowbuilder.events
        (stream, seq, workspace_id, type, run_id, step_name, task_id, attempt, at, data)
    values (r.id, r.last_seq + 1, r.workspace_id, 'task_completed', r.id, t.step_id, t.id,
            t.attempt, v_now, t.data),
           (r.id, r.last_seq + 2, r.workspace_id,
            case when r.last then 'workflow_completed' else 'task_started' end, r.id,
            n.step_id, v_task, case when not r.last then 1 end, v_now,
            case when r.last then json_build_object('final_result', v_output) else '{}' end);
    if r.last then
        perform flowbuilder.tell_family(array[r.id]);
    end if;
    return json_build_object('tasks', flowbuilder.lease_payload(array[v_task]), 'denied', null,
        'lost', null, 'over', null, 'due', exists (select from flowbuilder.outbox), 'ready', false,
        'elsewhere', false, 'opens_at', null, 'at', v_now);
end
$$;
