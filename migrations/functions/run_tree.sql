-- A run with its child runs and theirs, at most `p_limit` of them, each after its parent: with its
-- steps, and the step of the parent that started it.
create or replace function flowbuilder.run_tree(p_workspace uuid, p_run uuid, p_limit integer)
returns table (id uuid, parent_run_id uuid, parent_step text, flow text, version integer,
    status text, depth integer, created_at timestamptz, finished_at timestamptz, error jsonb,
    steps json)
language sql stable set search_path = ''
as $$
    with recursive family as (
        select r.id, 0 as level, array[]::timestamptz[] as path
        from flowbuilder.runs r
        where r.id = p_run and r.workspace_id = p_workspace
        union all
        select c.id, f.level + 1, f.path || c.created_at
        from family f join flowbuilder.runs c on c.parent_run_id = f.id
        where f.level < 16
    ), chosen as (
        select f.* from family f order by f.level, f.path, f.id
        limit least(greatest(p_limit, 1), 1000)
    )
    select r.id, case when r.id <> p_run then r.parent_run_id end,
        (select t.step_id from flowbuilder.tasks t where t.id = r.parent_task_id and r.id <> p_run),
        r.flow, r.version, r.status, c.level, r.created_at, r.finished_at, r.error,
        (select coalesce(json_agg(json_build_object('step_id', s.step_id, 'tool', v.tool,
             'status', s.status) order by s.position), '[]')
         from flowbuilder.run_steps s join flowbuilder.version_steps v on v.id = s.node_id
         where s.run_id = r.id)
    from chosen c join flowbuilder.runs r on r.id = c.id
    order by c.level, c.path, c.id
$$;
