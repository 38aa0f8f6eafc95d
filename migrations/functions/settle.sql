-- Carry on from steps that just ended, mapped steps that became ready and steps that can never start:
-- count down what depends on the ended ones, start what is ready, and go round until nothing moves.
-- Then end the runs in which nothing remains. The caller holds the locks of all runs named.
create or replace function flowbuilder.settle(
    p_mapped flowbuilder.place[], p_barred flowbuilder.place[], p_ended flowbuilder.place[]
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_mapped flowbuilder.place[] := coalesce(p_mapped, '{}');
    v_barred flowbuilder.place[] := coalesce(p_barred, '{}');
    v_ended  flowbuilder.place[] := coalesce(p_ended, '{}');
    v_ready  flowbuilder.place[];
    v_runs   uuid[];
begin
    select array_agg(distinct p.run_id) into v_runs from unnest(v_mapped || v_barred || v_ended) p;
    loop
        if cardinality(v_barred) > 0 then
            perform flowbuilder.skip_steps(v_barred, 'dependency', null);
        end if;
        v_ended := v_ended || v_barred || flowbuilder.open_maps(v_mapped, v_now);
        exit when cardinality(v_ended) = 0;
        update flowbuilder.runs r set remaining_steps = r.remaining_steps - c.n
        from (select d.run_id, count(*) as n from unnest(v_ended) d group by d.run_id) c
        where r.id = c.run_id and (r.finished_at is null) is true;
        select ready, coalesce(mapped, '{}'), coalesce(barred, '{}'), '{}'
        into v_ready, v_mapped, v_barred, v_ended
        from flowbuilder.release_steps(array(
            select e from unnest(v_ended) e
            join flowbuilder.runs r
              on r.id = e.run_id and (r.finished_at is null) is true), v_now);
        if v_ready is not null then
            perform flowbuilder.start_tasks(v_ready, v_now, null, null, 0, null);
        end if;
    end loop;
    if v_runs is not null then
        perform flowbuilder.finish_runs(v_runs);
    end if;
end
$$;
