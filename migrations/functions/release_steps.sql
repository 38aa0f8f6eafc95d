-- Count down the steps behind those that ended (each of them once, in runs that are open) and judge
-- them by their trigger rules. Those that are ready and become one task are running from here on;
-- mapped ones are left to open_maps, those that can never start to skip_steps. A failed step ends its
-- run, so a dependency that has ended without success was skipped.
create or replace function flowbuilder.release_steps(
    p_ended flowbuilder.place[], p_now timestamptz,
    out ready flowbuilder.place[], out mapped flowbuilder.place[], out barred flowbuilder.place[]
)
language plpgsql set search_path = ''
as $$
begin
    with arrived as (
        select e.run_id, d.position, count(*)::integer as n,
               (count(*) filter (where s.status = 'completed'))::integer as good
        from unnest(p_ended) e
        join flowbuilder.run_steps s on s.run_id = e.run_id and s.position = e.position
        join flowbuilder.version_steps v on v.id = s.node_id
        cross join lateral unnest(v.dependents) as d (position)
        group by e.run_id, d.position
    ),
    counted as (
        update flowbuilder.run_steps s
        set remaining_deps = s.remaining_deps - a.n, succeeded_deps = s.succeeded_deps + a.good,
            (status, started_at, task_count, remaining_tasks) = (
                select case when j.starts then 'running' else s.status end,
                       case when j.starts then p_now else s.started_at end,
                       case when j.starts then 1 else s.task_count end,
                       case when j.starts then 1 else s.remaining_tasks end
                from (select s.status = 'pending' and (v.for_each is null or v.has_when)
                      and case v.trigger_rule
                          when 'one_success' then s.succeeded_deps + a.good > 0
                          when 'all_success' then s.remaining_deps = a.n
                              and s.succeeded_deps + a.good = cardinality(v.depends_on)
                          else s.remaining_deps = a.n end as starts) j)
        from arrived a, flowbuilder.version_steps v
        where s.run_id = a.run_id and s.position = a.position and v.id = s.node_id
        returning s.run_id, s.position, s.status, case v.trigger_rule
            when 'one_success' then
                case when s.succeeded_deps > 0 then s.succeeded_deps = a.good
                when s.remaining_deps > 0 then null else false end
            when 'all_success' then
                case when cardinality(v.depends_on) - s.remaining_deps > s.succeeded_deps then false
                when s.remaining_deps = 0 then true end
            else case when s.remaining_deps = 0 then true end end as starts
    )
    select array_agg((c.run_id, c.position)::flowbuilder.place order by c.run_id, c.position)
               filter (where c.status = 'running' and c.starts),
           array_agg((c.run_id, c.position)::flowbuilder.place order by c.run_id, c.position)
               filter (where c.status = 'pending' and c.starts),
           array_agg((c.run_id, c.position)::flowbuilder.place order by c.run_id, c.position)
               filter (where c.status = 'pending' and not c.starts)
    into ready, mapped, barred from counted c;
end
$$;
