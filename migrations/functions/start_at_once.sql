-- The short way of a start, for the one run of a system that is not busy: nothing waits in the queue, and
-- the run has one first step, plain and without limits, which the worker that asks can do itself. It writes
-- once, row by row, what `open_runs` writes and `record_turn` changes for many. Wherever there is more
-- to judge it answers null and has written nothing: then they do it. Returns what the worker needs to
-- run the first task. `r` as it is drafted (draft_run.sql), with its id, input and key.
create or replace function flowbuilder.start_at_once(
    r flowbuilder.runs, p_worker uuid, p_tools text[], p_lease interval
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_now constant timestamptz := r.created_at;
    t flowbuilder.tasks;
    n flowbuilder.version_steps;
begin
    select * into n from flowbuilder.version_steps s
    where s.version_id = r.version_id and s.position >= 0 and s.depends_on = '{}'
      and s.for_each is null and s.limits is null and s.tool = any (p_tools)
      and (s.owner_id is null or s.owner_id = p_worker)
      and not exists (
          select from flowbuilder.version_steps o
          where o.version_id = r.version_id and o.position >= 0 and o.position <> s.position
            and o.depends_on = '{}');
    if not found or r.holds > 0 or exists (select from flowbuilder.tool_limits)
       or flowbuilder.queue_head(p_worker, p_tools, v_now) is not null then
        return null;
    end if;
    insert into flowbuilder.runs (id, workspace_id, version_id, flow, version, status, input,
        remaining_steps, last_seq, idempotency_key, priority, max_elements, max_tasks,
        max_open_runs, plan_id, actor, created_at, started_at, deadline_at, watched, replanning)
    values (r.id, r.workspace_id, r.version_id, r.flow, r.version, 'running',
        flowbuilder.checked(r.input), r.remaining_steps, 2, r.idempotency_key, r.priority,
        r.max_elements, r.max_tasks, r.max_open_runs, r.plan_id, r.actor, v_now, v_now,
        r.deadline_at, r.watched, r.replanning)
    on conflict (workspace_id, idempotency_key) where idempotency_key is not null do nothing
    returning started_at into r.started_at;
    if not found then
        return null;
    end if;
    insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status, remaining_deps,
        task_count, remaining_tasks, started_at)
    select r.id, s.position, s.step_id, s.id,
        case when f.first then 'running' else 'pending' end, cardinality(s.depends_on),
        case when f.first then 1 end, case when f.first then 1 end, case when f.first then v_now end
    from flowbuilder.version_steps s cross join lateral (select s.id = n.id as first) f
    where s.version_id = r.version_id and s.position >= 0 order by s.position;
    insert into flowbuilder.tasks (run_id, position, kind, status, step_id, node_id, tool, owner_id,
        available_at, worker_id, lease_until, fence, claims, attempt, started_at)
    values (r.id, n.position, 'step', 'running', n.step_id, n.id, n.tool, n.owner_id, v_now,
        p_worker, v_now + p_lease, 1, 1, 1, v_now) returning * into t;
    insert into flowbuilder.leases (worker_id, until, tasks)
    values (p_worker, v_now + p_lease, array[t.id]);
    insert into flowbuilder.events
        (stream, seq, workspace_id, type, run_id, step_name, task_id, attempt, at, data)
    values (r.id, 1, r.workspace_id, 'workflow_started', r.id, null, null, null, v_now,
            json_build_object('input', r.input, 'flow', r.flow, 'version', r.version)),
           (r.id, 2, r.workspace_id, 'task_started', r.id, n.step_id, t.id, 1, v_now, '{}');
    return flowbuilder.first_payload(t, r, n);
end
$$;
