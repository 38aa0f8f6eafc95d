-- Which steps wait for others (the first twenty of them), and which maps have as many elements under
-- way as they may.
create or replace function flowbuilder.why_steps(p_run uuid)
returns table (code text, step text, details jsonb)
language sql stable set search_path = '' set enable_seqscan = off
as $$
    (select 'dependencies', s.step_id, jsonb_build_object('steps', (
         select jsonb_agg(d.step_id order by d.position)
         from flowbuilder.run_steps d
         where d.run_id = p_run and d.position = any (v.depends_on)
           and (d.finished_at is null or d.status = 'failed')),
         'trigger_rule', v.trigger_rule, 'others', greatest(count(*) over () - 20, 0))
     from flowbuilder.run_steps s
     join flowbuilder.version_steps v on v.id = s.node_id
     where s.run_id = p_run and s.status = 'pending' and s.remaining_deps > 0
     order by s.position limit 20)
    union all
    (select 'map_limit', s.step_id, jsonb_build_object('under_way', c.open, 'pending', c.pending,
         'concurrency', v.concurrency, 'limit', least(coalesce(v.concurrency, 1000), 1000))
     from flowbuilder.run_steps s
     join flowbuilder.version_steps v on v.id = s.node_id
     cross join lateral (
         select count(*) filter (where t.status = 'pending') as pending,
                count(*) filter (where t.status <> 'pending') as open
         from flowbuilder.tasks t
         where t.run_id = p_run and t.position = s.position and t.element >= 0
           and t.finished_at is null) c
     where s.run_id = p_run and s.status = 'running' and s.remaining_tasks > 1 and c.pending > 0
     order by s.position)
$$;
