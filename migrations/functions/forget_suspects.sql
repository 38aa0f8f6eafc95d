-- Forget suspects that have ended or come to an outcome. Upkeep does this last: nothing is waited for
-- while these rows are locked.
create or replace function flowbuilder.forget_suspects(p_limit integer) returns void
language sql set search_path = ''
as $$
    with cleared as (
        select s.task_id from flowbuilder.suspects s
        where not exists (
            select from flowbuilder.tasks t
            where t.id = s.task_id and t.status in ('queued', 'running') and t.claims >= s.claims)
        limit p_limit for update skip locked
    )
    delete from flowbuilder.suspects s using cleared c where s.task_id = c.task_id
$$;
