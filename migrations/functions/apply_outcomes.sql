-- Write what a worker reports, each guarded by state, fence and worker. Returns the verdicts,
-- [[task_id, fence, verdict], …]: accepted, already (the same report again), fenced (too late).
create or replace function flowbuilder.apply_outcomes(p_worker uuid, p_outcomes jsonb)
returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_verdicts jsonb;
    v_accepted jsonb;
    v_results  flowbuilder.task_result[];
begin
    if jsonb_array_length(p_outcomes) = 0 then
        return '[]';
    end if;
    with judged as (
        select o.value, o.place, t.attempt >= coalesce(v.max_attempts, 3) as exhausted, case
            when t.fence is distinct from (o.value ->> 'fence')::integer
                 or t.worker_id is distinct from p_worker or t.status = 'cancelled' then 'fenced'
            when t.status = 'running' and row_number() over (
                partition by t.id order by o.place) = 1 then 'accepted'
            else 'already' end as verdict
        from jsonb_array_elements(p_outcomes) with ordinality as o (value, place)
        left join flowbuilder.tasks t on t.id = (o.value ->> 'task_id')::bigint
        left join flowbuilder.runs r on r.id = t.run_id
        left join flowbuilder.version_steps v
          on v.version_id = r.version_id and v.position = t.position
    )
    select jsonb_agg(jsonb_build_array(j.value -> 'task_id', j.value -> 'fence', j.verdict)
                     order by j.place),
           jsonb_agg(case when j.exhausted and j.value ->> 'kind' = 'retry'
                     then j.value || '{"kind": "failed"}' else j.value end order by j.place)
               filter (where j.verdict = 'accepted')
    into v_verdicts, v_accepted from judged j;
    if v_accepted is not null then
        perform flowbuilder.return_tasks(v_accepted);
        perform flowbuilder.suspend_tasks(v_accepted);
        select array_agg(((o ->> 'task_id')::bigint, o ->> 'kind', o -> 'output',
            case when o ->> 'kind' = 'failed' then coalesce(nullif(o -> 'error', 'null'),
                '{"code": "failed", "message": "the worker gave no reason"}') end,
            o ->> 'reason')::flowbuilder.task_result order by place)
        into v_results
        from jsonb_array_elements(v_accepted) with ordinality as a (o, place)
        where o ->> 'kind' in ('completed', 'failed', 'skipped');
        perform flowbuilder.finish_tasks(v_results);
    end if;
    return v_verdicts;
end
$$;
