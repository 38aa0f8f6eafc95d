-- The runs that come first of those that wait in a workspace, at most `p_limit`, as far as there is
-- room: by priority, then by age. A flow without room holds up no other: each is looked at by itself,
-- and no further than its room goes.
create or replace function flowbuilder.next_admissions(
    p_workspace uuid, p_now timestamptz, p_limit integer
) returns uuid[]
language sql stable set search_path = '' set enable_seqscan = off
as $$
    with recursive rooms as materialized (
        select r.flow, r.room from flowbuilder.admission_rooms(p_workspace, p_now) r
    ),
    flows as (
        (select a.flow from flowbuilder.admissions a
         where a.workspace_id = p_workspace and a.state = 'waiting' order by a.flow limit 1)
        union all
        select (select a.flow from flowbuilder.admissions a
                where a.workspace_id = p_workspace and a.state = 'waiting' and a.flow > f.flow
                order by a.flow limit 1)
        from flows f where f.flow is not null
    ),
    whole as (
        select least(p_limit, (select r.room from rooms r where r.flow = '')) as room
    ),
    first as (
        select a.run_id, a.priority, a.since from flows f
        cross join lateral (
            select w.run_id, w.priority, w.since from flowbuilder.admissions w
            where w.workspace_id = p_workspace and w.flow = f.flow and w.state = 'waiting'
            order by w.priority desc, w.since, w.run_id
            limit least((select h.room from whole h),
                        (select r.room from rooms r where r.flow = f.flow))) a
        where f.flow is not null
        order by a.priority desc, a.since, a.run_id limit (select h.room from whole h)
    )
    select array_agg(n.run_id order by n.priority desc, n.since, n.run_id) from first n
$$;
