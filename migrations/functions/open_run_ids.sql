-- The runs of a workspace that are open, at most `p_limit` of them: those that are watched, and what
-- has begun since then, as the ids tell. With `p_quick`, while a transaction of somebody else has kept
-- the beginning where it is for long (watch_runs.sql), not those that were committed late.
-- `offset 0` keeps the planner from reading all of the workspace instead.
create or replace function flowbuilder.open_run_ids(
    p_workspace uuid, p_limit integer default null, p_quick boolean default false
) returns setof uuid
language plpgsql stable rows 100
set search_path = '' set enable_seqscan = off set enable_bitmapscan = off
as $$
begin
    return query
        select o.id from (
            select r.id, r.workspace_id from flowbuilder.runs r where r.watched
            union all
            select r.id, r.workspace_id from flowbuilder.runs r
            where r.id >= (
                select case when p_quick then greatest(w.beginning, flowbuilder.first_id(
                    w.seen_at - interval '2 seconds')) else w.beginning end
                from flowbuilder.watch w)
              and r.finished_at is null and not r.watched
            offset 0) o
        where o.workspace_id = p_workspace limit p_limit;
end
$$;
