-- Write what the reported attempts have spent, before anything follows from their outcomes, and find
-- the runs that are over their budget by now, or that report a step which would have gone over it. Such
-- a run is halted: nothing in it starts or ends by itself until stop_over_budget, in the same
-- transaction. An attempt counts under the guard that its outcome has, and once; what a fenced worker has
-- spent stands nowhere. The caller holds the runs' locks.
create or replace function flowbuilder.charge(p_worker uuid, p_outcomes json) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_runs  uuid[];
    v_tasks bigint[];
begin
    with given as materialized (
        select distinct on (t.id) t.id, t.run_id, t.tool, t.step_id, o.kind, o.error,
            coalesce(s.tokens, 0) as tokens, coalesce(s.unpriced_tokens, 0) as unpriced_tokens,
            coalesce(s.usd, 0) as usd
        from json_to_recordset(p_outcomes) as o (task_id bigint, run_id uuid, fence integer,
            kind text, error jsonb, spent jsonb)
        cross join lateral (  -- one by one, by the key, whatever the planner thinks of the tables
            select from flowbuilder.run_budgets b where b.run_id = o.run_id limit 1) b
        cross join lateral (
            select t.* from flowbuilder.tasks t
            where t.id = o.task_id and t.fence = o.fence and (t.run_id = o.run_id) is true
              and (t.status = 'running') is true and (t.worker_id = p_worker) is true limit 1) t
        left join lateral jsonb_to_record(o.spent) as s (tokens bigint, unpriced_tokens bigint,
            usd numeric) on o.spent is not null
    ),
    summed as (
        update flowbuilder.run_budgets b
        set tokens = b.tokens + g.tokens, unpriced_tokens = b.unpriced_tokens + g.unpriced_tokens,
            usd = b.usd + g.usd, breach = coalesce(b.breach, g.breach)
        from (select g.run_id, sum(g.tokens)::bigint as tokens, sum(g.usd) as usd,
                  sum(g.unpriced_tokens)::bigint as unpriced_tokens,
                  (array_agg(g.error || jsonb_build_object('step', g.step_id, 'task_id', g.id))
                      filter (where g.kind = 'failed' and g.error ->> 'code' = 'budget_exceeded')
                  )[1] as breach
              from given g group by g.run_id) g
        where b.run_id = g.run_id
        returning b.run_id
    ),
    noted as (
        insert into flowbuilder.spendings (workspace_id, run_id, task_id, tool, tokens, usd)
        select r.workspace_id, g.run_id, g.id, g.tool, g.tokens,
               case when g.unpriced_tokens = 0 then g.usd end
        from given g join flowbuilder.runs r on r.id = g.run_id
        where g.tokens > 0 or g.usd > 0
    )
    select array(select s.run_id from summed s), array(select g.id from given g)
    into v_runs, v_tasks;
    return coalesce(flowbuilder.halt_over_budget(v_runs, v_tasks), '{}');
end
$$;
