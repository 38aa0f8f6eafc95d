-- What calls of the given tools (name@version) came to lately, in the newest `p_runs` runs of a
-- workspace: {tool, seconds: [p10, p50, p90], calls, retried, spent, tokens: [...], usd: [...]}. Of each
-- run at most 200 tasks are read, and at most 200 of the spendings of each tool.
create or replace function flowbuilder.tool_history(
    p_workspace uuid, p_tools text[], p_runs integer
) returns table (tool text, calls bigint, seconds double precision[], attempts double precision,
                 failed double precision, spent bigint, tokens double precision[], usd double precision[])
language sql stable set search_path = ''
set enable_seqscan = off
as $$
    with newest as materialized (
        select r.id from flowbuilder.runs r where r.workspace_id = p_workspace
        order by r.created_at desc, r.id desc limit least(greatest(p_runs, 1), 500)
    ),
    ended as materialized (
        select t.tool, t.status, t.attempt,
            extract(epoch from t.finished_at - t.started_at)::double precision as seconds
        from newest n
        cross join lateral (
            select k.* from flowbuilder.tasks k where k.run_id = n.id
            order by k.position, k.element limit 200) t
        where t.kind = 'step' and t.status in ('completed', 'failed') and t.wait is null
          and t.tool = any (p_tools) and t.started_at is not null
    ),
    timed as (
        select e.tool, count(*) as calls,
            percentile_cont(array[0.1, 0.5, 0.9]) within group (order by e.seconds)
                filter (where e.status = 'completed') as seconds,
            avg(greatest(e.attempt, 1))::double precision as attempts,
            avg((e.status = 'failed')::integer)::double precision as failed
        from ended e group by e.tool
    ),
    paid as (
        select s.tool, count(*) as spent,
            percentile_cont(array[0.1, 0.5, 0.9]) within group (order by s.tokens) as tokens,
            case when count(s.usd) = count(*) then percentile_cont(array[0.1, 0.5, 0.9])
                within group (order by s.usd::double precision) end as usd
        from (select distinct n.name from unnest(p_tools) as n (name)) n
        cross join lateral (
            select k.tool, k.tokens, k.usd from flowbuilder.spendings k
            where k.workspace_id = p_workspace and k.tool = n.name
            order by k.id desc limit 200) s
        group by s.tool
    )
    select coalesce(t.tool, p.tool), coalesce(t.calls, 0), t.seconds, t.attempts, t.failed,
           coalesce(p.spent, 0), p.tokens, p.usd
    from timed t full join paid p on p.tool = t.tool
$$;
