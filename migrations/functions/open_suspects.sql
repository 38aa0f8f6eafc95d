-- The suspects that are queued or running, and by whom they are held.
create or replace function flowbuilder.open_suspects()
returns table (task_id bigint, worker_id uuid)
language sql stable rows 10 set search_path = ''
as $$
    select t.id, case when t.status = 'running' then t.worker_id end
    from flowbuilder.suspects s
    cross join lateral (
        select t.* from flowbuilder.tasks t where t.id = s.task_id limit 1) t
    where t.status in ('queued', 'running') and t.claims >= s.claims
$$;
