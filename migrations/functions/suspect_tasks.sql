-- Take note of tasks, lost with their worker just now, that have used up half of what that one allows
-- them to be claimed without an outcome.
create or replace function flowbuilder.suspect_tasks(p_tasks bigint[]) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.suspects as s (task_id, claims)
    select t.id, t.claims
    from flowbuilder.tasks t join flowbuilder.workers w on w.id = t.worker_id
    where t.id = any (p_tasks) and t.status = 'running' and t.claims * 2 >= w.max_claims
    on conflict (task_id) do update set claims = excluded.claims
$$;
