-- The positions of the steps that a retry of an ended run runs again: the given one, those that have
-- no result or whose compensation has begun, and all that stand behind them.
create or replace function flowbuilder.steps_again(p_run uuid, p_from text) returns integer[]
language sql stable set search_path = ''
as $$
    with recursive again as (
        select s.position from flowbuilder.run_steps s
        where s.run_id = p_run
          and (s.status not in ('completed', 'skipped') or s.step_id = p_from or exists (
                select from flowbuilder.tasks t
                where t.run_id = p_run and t.position = -2 - s.position and t.fence > 0))
        union
        select d.position
        from again a
        join flowbuilder.run_steps s on s.run_id = p_run and s.position = a.position
        join flowbuilder.version_steps v on v.id = s.node_id
        cross join lateral unnest(v.dependents) as d (position)
    )
    select coalesce(array_agg(a.position order by a.position), '{}') from again a
$$;
