-- Which slots the given tasks need, one row for each task and limit.
create or replace function flowbuilder.slot_demands(p_tasks bigint[])
returns setof flowbuilder.slot_demand
language sql stable set search_path = ''
as $$
    select t.id, 'tool', l.pattern, '', l.concurrency, l.rate_count, l.rate_seconds
    from (select o.tool, array_agg(o.id) as ids from flowbuilder.tasks o
          where o.id = any (p_tasks) and o.kind in ('step', 'compensate') group by o.tool) k
    cross join lateral flowbuilder.limits_of_tool(k.tool) l
    cross join lateral unnest(k.ids) t (id)
    union all
    select t.id, 'step', format('%s/%s/%s', r.workspace_id, r.flow, t.step_id),
        case when v.limits ->> 'key' is null then '' else flowbuilder.limit_key(t.id, v.limits) end,
        (v.limits ->> 'concurrency')::integer,
        (v.limits ->> 'rate_count')::integer, (v.limits ->> 'rate_seconds')::double precision
    from unnest(p_tasks) g (id)
    join flowbuilder.tasks t on t.id = g.id and t.kind = 'step'
    join flowbuilder.version_steps v on v.id = t.node_id and v.limits is not null
    join flowbuilder.runs r on r.id = t.run_id
$$;
