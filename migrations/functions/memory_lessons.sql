-- What went wrong with tools, counted from the memories, with what was decided about it. An id says
-- what a lesson is about, so that it is the same however often it is counted.
create or replace function flowbuilder.memory_lessons(p_workspace uuid, p_limit integer)
returns table (id uuid, kind text, tool text, code text, runs bigint, uses bigint, status text,
    suite text, comparison json, decided_by text, decided_at timestamptz)
language sql stable set search_path = ''
as $$
    with told as (
        select distinct m.run_id, 'failed' as kind, f ->> 'tool' as tool, f ->> 'code' as code
        from flowbuilder.memories m cross join json_array_elements(m.failures) f
        where m.workspace_id = p_workspace
        union all
        select m.run_id, 'rejected', r, 'rejected'
        from flowbuilder.memories m cross join unnest(m.rejected) r
        where m.workspace_id = p_workspace
    ), known as (
        select t.kind, t.tool, t.code, count(*) as runs from told t group by t.kind, t.tool, t.code
        union all  -- what was decided stands, though its runs are forgotten
        select w.kind, w.tool, w.code, 0 from flowbuilder.memory_rules w
        where w.workspace_id = p_workspace and not exists (
            select from told t where t.kind = w.kind and t.tool = w.tool and t.code = w.code)
    ), named as (
        select k.*, md5(concat_ws('/', p_workspace, k.kind, k.tool, k.code))::uuid as id from known k
    )
    select n.id, n.kind, n.tool, n.code, n.runs,
        (select count(*) from flowbuilder.memories m
         where m.workspace_id = p_workspace and n.tool = any (m.tools)),
        coalesce(w.status, 'candidate'), w.suite, w.comparison, w.decided_by, w.decided_at
    from named n left join flowbuilder.memory_rules w on w.id = n.id
    order by n.runs desc, n.tool, n.kind, n.code
    limit least(greatest(p_limit, 1), 1000)
$$;
