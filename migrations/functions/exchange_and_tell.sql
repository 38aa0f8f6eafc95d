-- An exchange, and the events of those runs that somebody in the worker's process follows: of each of
-- p_readers, [{stream, workspace, after}], what lies behind `after`, unless that is more than somebody
-- gets who keeps up. The statements behind the exchange see what this has written, and nobody is told
-- before all of it is committed. Answers {answer, news}: as `exchange` does, and lists of rows.
create or replace function flowbuilder.exchange_and_tell(
    p_worker uuid, p_held jsonb, p_outcomes json, p_free integer, p_lease_seconds double precision,
    p_readers json
) returns json
language plpgsql set search_path = '' set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_answer json := flowbuilder.exchange(p_worker, p_held, p_outcomes, p_free, p_lease_seconds);
    v_news   json[];
    r        record;
begin
    for r in
        select * from json_to_recordset(p_readers) as g (stream uuid, workspace uuid, after bigint)
    loop
        if (select count(*) between 1 and 99 and sum(pg_column_size(e.data)) < 1000000
            from (select e.data from flowbuilder.events e
                  where e.workspace_id = r.workspace and e.stream = r.stream and e.seq > r.after
                  order by e.seq limit 100) e)
        then
            v_news := v_news || (
                select json_agg(e order by e.seq) from flowbuilder.events e
                where e.workspace_id = r.workspace and e.stream = r.stream and e.seq > r.after);
        end if;
    end loop;
    return json_build_object('answer', v_answer, 'news', v_news);
end
$$;
