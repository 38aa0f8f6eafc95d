-- The tools of each graph that one of the `p_runs` newest runs of a workspace has carried out to the
-- end: one row a graph, however often it ran, for graphs of at least two tools.
create or replace function flowbuilder.tools_together(p_workspace uuid, p_runs integer)
returns table (tools text[])
language sql stable set search_path = ''
as $$
    select array_agg(distinct s.tool order by s.tool)
    from (select distinct n.version_id
          from (select r.version_id, r.status from flowbuilder.runs r
                where r.workspace_id = p_workspace
                order by r.created_at desc, r.id desc limit least(greatest(p_runs, 1), 2000)) n
          where n.status = 'completed') v
    join flowbuilder.version_steps s on s.version_id = v.version_id
    group by v.version_id
    having count(distinct s.tool) > 1
$$;
