-- Take note of tasks, lost with their worker just now, that have used up half of what that one allows
-- them to be claimed without an outcome.
create or replace function flowbuilder.suspect_tasks(p_tasks bigint[]) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.suspects as s (task_id, claims)
    select t.id, t.claims
    from unnest(p_tasks) as p (id)
    cross join lateral (select t.* from flowbuilder.tasks t where t.id = p.id limit 1) t
    cross join lateral (
        select w.max_claims from flowbuilder.workers w where w.id = t.worker_id limit 1) w
    where t.status = 'running' and t.claims * 2 >= w.max_claims
    on conflict (task_id) do update set claims = excluded.claims
$$;
