-- The limits that the runs of a workspace are let in by: how many each counts and keeps back now, and
-- when its rate lets the next one start (null: at once).
create or replace function flowbuilder.admissions_in_force(p_workspace uuid)
returns table (flow text, concurrency integer, rate_count integer, rate_seconds double precision,
               running integer, waiting integer, next_at timestamptz, updated_at timestamptz,
               updated_by text)
language sql stable set search_path = ''
as $$
    select nullif(l.flow, ''), l.concurrency, l.rate_count, l.rate_seconds, r.running, (
        select count(*)::integer from flowbuilder.admissions a
        where a.workspace_id = p_workspace and a.state in ('waiting', 'paused')
          and (l.flow = '' or a.flow = l.flow)), r.next_at, l.updated_at, l.updated_by
    from flowbuilder.admission_rooms(p_workspace, flowbuilder.now()) r
    join flowbuilder.admission_limits l on l.workspace_id = p_workspace and l.flow = r.flow
    order by l.flow
$$;
