-- The limits of a workspace that runs are let in by, each with how many it counts now, how many it has
-- room for, and when its rate lets the next one start (null: it is not the rate that keeps any back).
create or replace function flowbuilder.admission_rooms(p_workspace uuid, p_now timestamptz)
returns table (flow text, running integer, room integer, next_at timestamptz)
language sql stable set search_path = ''
as $$
    select l.flow, c.n, greatest(0, least(l.concurrency - c.n, t.whole)),
        case when t.whole <= 0 then p_now + make_interval(
            secs => (b.level + 1 - l.rate_count) * l.rate_seconds / l.rate_count) end
    from flowbuilder.admission_limits l
    cross join lateral (
        select count(*)::integer as n from flowbuilder.admissions a
        where a.workspace_id = p_workspace and a.state = 'admitted'
          and (l.flow = '' or a.flow = l.flow)) c
    cross join lateral (select flowbuilder.bucket_level(l, p_now) as level) b
    cross join lateral (  -- a hair's breadth more: what is due in no time is due
        select floor(l.rate_count - b.level + 1e-6)::integer as whole) t
    where l.workspace_id = p_workspace
$$;
