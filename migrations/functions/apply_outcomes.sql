-- Write those outcomes that are more than a plain completion of a step's task, each guarded by
-- state, fence and worker, and judge all: the verdicts of what was not accepted,
-- [[task_id, fence, verdict], …]: already (the same report again), fenced (too late). `p_closed` are
-- the tasks that were completed a moment ago.
create or replace function flowbuilder.apply_outcomes(
    p_worker uuid, p_outcomes flowbuilder.outcome[], p_closed bigint[]
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_denied   json;
    v_accepted flowbuilder.outcome[];
    v_results  flowbuilder.task_result[];
begin
    with judged as (
        select o.*, t.attempt >= coalesce(v.max_attempts, 3) as exhausted,
            o.task_id = any (p_closed) as closed, case
            when t.fence is distinct from o.fence or t.run_id is distinct from o.run_id
                 or t.worker_id is distinct from p_worker or t.status = 'cancelled' then 'fenced'
            when (t.status = 'running' or t.id = any (p_closed)) and row_number() over (
                partition by t.id order by o.place) = 1 then 'accepted'
            else 'already' end as verdict
        from unnest(p_outcomes) with ordinality as o (task_id, run_id, fence, kind, output, error,
                                                      reason, delay_seconds, wait, place)
        left join flowbuilder.tasks t on t.id = o.task_id
        left join flowbuilder.version_steps v on v.id = t.node_id
    )
    select json_agg(json_build_array(j.task_id, j.fence, j.verdict) order by j.place)
               filter (where j.verdict <> 'accepted'),
           array_agg((j.task_id, j.run_id, j.fence,
               case when j.exhausted and j.kind = 'retry' then 'failed' else j.kind end,
               j.output, j.error, j.reason, j.delay_seconds, j.wait)::flowbuilder.outcome
               order by j.place) filter (where j.verdict = 'accepted' and not j.closed)
    into v_denied, v_accepted from judged j;
    if v_accepted is not null then
        perform flowbuilder.return_tasks(v_accepted);
        perform flowbuilder.suspend_tasks(v_accepted);
        select array_agg((o.task_id, o.kind, o.output,
            case when o.kind = 'failed' then coalesce(o.error,
                '{"code": "failed", "message": "the worker gave no reason"}') end,
            o.reason)::flowbuilder.task_result)
        into v_results
        from unnest(v_accepted) o where o.kind in ('completed', 'failed', 'skipped');
        perform flowbuilder.finish_tasks(v_results);
    end if;
    return v_denied;
end
$$;
