-- The tools, without versions, that failed for good in a run or in one of its child runs, with the
-- code of the error; `rejected`: because a person said no.
create or replace function flowbuilder.failed_tools(p_run uuid)
returns table (tool text, code text, rejected boolean)
language sql stable set search_path = ''
as $$
    with recursive family as (
        select p_run as id, 0 as level
        union all
        select c.id, f.level + 1
        from family f join flowbuilder.runs c on c.parent_run_id = f.id
        where f.level < 16
    )
    select split_part(v.tool, '@', 1), coalesce(s.error ->> 'code', 'failed'), exists (
        select from flowbuilder.approvals a
        where a.run_id = s.run_id and a.step_id = s.step_id and a.status = 'rejected')
    from family f
    join flowbuilder.run_steps s on s.run_id = f.id and s.error is not null
    join flowbuilder.version_steps v on v.id = s.node_id
    where v.tool not like 'flow.run@%'
$$;
