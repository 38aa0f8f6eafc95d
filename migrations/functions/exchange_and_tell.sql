-- An exchange, and the events of those runs that somebody in the worker's process follows: of each of
-- p_readers, [{stream, workspace, after}], what lies behind `after`, 100 at most. The statement behind the
-- exchange sees what this has written, and nobody is told before all of it is committed.
-- Answers {answer, news}: as `exchange` does, and the rows or null.
create or replace function flowbuilder.exchange_and_tell(
    p_worker uuid, p_held jsonb, p_outcomes json, p_free integer, p_lease_seconds double precision,
    p_readers json
) returns json
language plpgsql set search_path = '' set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_answer json := flowbuilder.exchange(p_worker, p_held, p_outcomes, p_free, p_lease_seconds);
begin
    return json_build_object('answer', v_answer, 'news', (
        select json_agg(n.e)
        from json_to_recordset(p_readers) as r (stream uuid, workspace uuid, after bigint)
        cross join lateral (
            select e from flowbuilder.events e
            where e.workspace_id = r.workspace and e.stream = r.stream and e.seq > r.after
            order by e.seq limit 100) n));
end
$$;
