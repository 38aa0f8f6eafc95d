-- Carry on from steps that became ready and steps that just ended: start the ready ones, count
-- down what depends on the ended ones, and go round until nothing moves. Then end the runs in
-- which nothing remains. The caller holds the locks of all runs named.
create or replace function flowbuilder.settle(
    p_ready flowbuilder.place[], p_ended flowbuilder.place[]
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_ready flowbuilder.place[] := coalesce(p_ready, '{}');
    v_ended flowbuilder.place[] := coalesce(p_ended, '{}');
    v_done  flowbuilder.place[];
    v_runs  uuid[];
begin
    select array_agg(distinct p.run_id) into v_runs from unnest(v_ready || v_ended) p;
    while cardinality(v_ready) > 0 or cardinality(v_ended) > 0 loop
        v_done := v_ended || flowbuilder.start_steps(v_ready);
        exit when cardinality(v_done) = 0;
        update flowbuilder.runs r set remaining_steps = r.remaining_steps - c.n
        from (select d.run_id, count(*) as n from unnest(v_done) d group by d.run_id) c
        where r.id = c.run_id and r.finished_at is null;
        select ready, skipped into v_ready, v_ended
        from flowbuilder.release_dependents(v_done);
    end loop;
    perform flowbuilder.finish_runs(v_runs);
end
$$;
