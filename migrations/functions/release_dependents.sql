-- Count down the steps behind those that ended, and judge them by their trigger rules: some are
-- ready now, some can never start and are skipped.
create or replace function flowbuilder.release_dependents(
    p_ended flowbuilder.place[], out ready flowbuilder.place[], out skipped flowbuilder.place[]
)
language plpgsql set search_path = ''
as $$
declare
    v_events flowbuilder.event_draft[];
begin
    with arrived as (
        select e.run_id, d.position, count(*) as n,
               count(*) filter (where s.status = 'completed') as succeeded
        from unnest(p_ended) e
        join flowbuilder.runs r on r.id = e.run_id and r.finished_at is null
        join flowbuilder.run_steps s on s.run_id = e.run_id and s.position = e.position
        join flowbuilder.version_steps v
          on v.version_id = r.version_id and v.position = e.position
        cross join lateral unnest(v.dependents) as d (position)
        group by e.run_id, d.position
    ),
    counted as (
        update flowbuilder.run_steps s
        set remaining_deps = s.remaining_deps - a.n, succeeded_deps = s.succeeded_deps + a.succeeded
        from arrived a
        where s.run_id = a.run_id and s.position = a.position
        returning s.run_id, s.position, s.status, s.remaining_deps, s.succeeded_deps
    ),
    judged as (
        select c.run_id, c.position, flowbuilder.judge(v.trigger_rule, cardinality(v.depends_on),
                   c.remaining_deps, c.succeeded_deps) as verdict
        from counted c
        join flowbuilder.runs r on r.id = c.run_id
        join flowbuilder.version_steps v
          on v.version_id = r.version_id and v.position = c.position
        where c.status = 'pending'
    )
    select array_agg((j.run_id, j.position)::flowbuilder.place order by j.run_id, j.position)
               filter (where j.verdict = 'ready'),
           array_agg((j.run_id, j.position)::flowbuilder.place order by j.run_id, j.position)
               filter (where j.verdict = 'skip')
    into ready, skipped from judged j;
    ready := coalesce(ready, '{}');
    skipped := coalesce(skipped, '{}');
    if cardinality(skipped) > 0 then
        perform flowbuilder.skip_steps(skipped, 'dependency', null);
    end if;
end
$$;
