-- Mark open runs that are older than a second as watched: by that mark their deadlines are found, and
-- they are listed and counted. Most runs end before, without having been in that index at all. True
-- when there are more than `p_limit` to mark.
-- Ids rise with the time, and every open run before `watch.beginning` is marked. So that none is
-- passed by that is committed late, the beginning moves to where `soon` was noted only when all
-- transactions have ended that had a number at that moment: who makes runs gets its number first.
-- While one stays open, only what is new since the last look is looked at.
create or replace function flowbuilder.watch_runs(p_limit integer) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_until timestamptz := flowbuilder.now() - interval '1 second';
    v_watch flowbuilder.watch;
    v_from  uuid;
    v_safe  boolean;
    v_count integer;
begin
    if not exists (select from flowbuilder.watch w
                   where exists (select from flowbuilder.runs r where r.id >= w.beginning)) then
        return false;  -- nothing has begun since
    end if;
    select * into v_watch from flowbuilder.watch for update skip locked;
    if not found then
        return false;  -- somebody else is at it
    end if;
    v_safe := coalesce(v_watch.noted <= pg_snapshot_xmin(pg_current_snapshot()), true);
    v_from := case when v_safe then v_watch.beginning else greatest(v_watch.beginning,
        flowbuilder.first_id(v_watch.seen_at - interval '2 seconds')) end;
    update flowbuilder.runs r set watched = true
    where r.id = any (array(
        select n.id from flowbuilder.runs n
        where n.id >= v_from and n.id < flowbuilder.first_id(v_until)
          and (n.finished_at is null and not n.watched) is true
        order by n.id limit p_limit for update skip locked));
    get diagnostics v_count = row_count;
    if v_safe and not exists (
        select from flowbuilder.runs r
        where r.id >= v_watch.beginning and r.id < v_watch.soon
          and (r.finished_at is null and not r.watched) is true) then
        v_watch.beginning := coalesce(v_watch.soon, v_watch.beginning);
        v_watch.noted := null;
    end if;
    if v_watch.noted is null  -- or that of another server, from which this was copied
       or v_watch.noted > pg_snapshot_xmax(pg_current_snapshot()) then
        v_watch.soon := greatest(flowbuilder.first_id(v_until), v_watch.beginning);
        v_watch.noted := pg_snapshot_xmax(pg_current_snapshot());
    end if;
    update flowbuilder.watch
    set beginning = v_watch.beginning, soon = v_watch.soon, noted = v_watch.noted,
        seen_at = case when v_count < p_limit then v_until else seen_at end;
    return v_count = p_limit;
end
$$;
