-- Forget suspects that have ended or come to an outcome. Upkeep does this last: nothing is waited for
-- while these rows are locked. Each task is looked up by its key: of a join the planner reads all
-- tasks, and nearly always there is no suspect.
create or replace function flowbuilder.forget_suspects(p_limit integer) returns void
language plpgsql set search_path = ''
as $$
begin
    if not exists (select from flowbuilder.suspects) then
        return;
    end if;
    with cleared as (
        select s.task_id
        from flowbuilder.suspects s
        left join lateral (
            select t.* from flowbuilder.tasks t where t.id = s.task_id limit 1) t on true
        where (t.status in ('queued', 'running') and t.claims >= s.claims) is not true
        limit p_limit for update of s skip locked
    )
    delete from flowbuilder.suspects s using cleared c where s.task_id = c.task_id;
end
$$;
