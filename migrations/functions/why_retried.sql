-- After which error a task waits for its next attempt, and how many attempts it has.
create or replace function flowbuilder.why_retried(p_run uuid, p_task bigint) returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object('error', e.data -> 'error', 'failed_at', e.at, 'max_attempts', (
        select v.max_attempts from flowbuilder.tasks t
        join flowbuilder.version_steps v on v.id = t.node_id where t.id = p_task))
    from (select p_task as task) g
    left join lateral (
        select e.data, e.at from flowbuilder.events e
        where e.stream = p_run and e.type = 'task_retrying' and e.task_id = g.task
        order by e.seq desc limit 1) e on true
$$;
