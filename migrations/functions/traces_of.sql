-- Where the trace of a task comes from: of its run (a child's is that of the run that called it, where it
-- has none itself), of what made the task ready, and of the last decision about it. For processes that
-- trace; without a task, of the run alone.
create or replace function flowbuilder.traces_of(p_run uuid, p_task bigint) returns jsonb
language sql stable set search_path = ''
as $$
    with recursive family as (
        select r.id, r.parent_run_id, r.trace, 0 as level from flowbuilder.runs r where r.id = p_run
        union all
        select r.id, r.parent_run_id, r.trace, f.level + 1
        from family f join flowbuilder.runs r on r.id = f.parent_run_id
        where f.trace is null and f.level < 10
    )
    select jsonb_build_object(
        'run', (select f.trace from family f where f.trace is not null order by f.level limit 1),
        'made', (select t.trace from flowbuilder.tasks t where t.id = p_task),
        'decided', (select a.trace from flowbuilder.approvals a
                    where p_task is not null and a.run_id = p_run and a.task_id = p_task
                    order by a.decided_at desc nulls last limit 1))
$$;
