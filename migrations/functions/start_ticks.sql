-- Start the runs of a schedule's ticks, those that have none yet. Of a schedule that waits for the run
-- before, only the last one.
create or replace function flowbuilder.start_ticks(
    p_schedule flowbuilder.schedules, p_ticks timestamptz[], p_inputs json[], p_version uuid,
    p_deadline_seconds double precision, p_terms jsonb
) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_ticks  timestamptz[];
    v_inputs json[];
    v_runs   uuid[];
begin
    perform flowbuilder.require_startable(p_schedule.workspace_id, p_schedule.flow);
    select array_agg(g.tick order by g.tick), array_agg(g.input order by g.tick)
    into v_ticks, v_inputs
    from (select t.tick, t.input
          from unnest(p_ticks, p_inputs) as t (tick, input)
          where not exists (select from flowbuilder.run_triggers o
                            where o.trigger_id = p_schedule.id and o.tick_at = t.tick)
          order by t.tick desc limit case when p_schedule.overlap = 'skip' then 1 end) g;
    if v_ticks is null then
        return '{}';
    end if;
    select array_agg(r.id order by r.place) into v_runs
    from json_array_elements(flowbuilder.start_runs(p_schedule.workspace_id, p_version, v_inputs, null,
        p_deadline_seconds, null, 'schedule:' || p_schedule.name, p_terms => p_terms) -> 'runs')
        with ordinality as s (made, place)
    cross join lateral (select (s.made ->> 0)::uuid as id, s.place) r;
    insert into flowbuilder.run_triggers (run_id, workspace_id, kind, trigger_id, name, tick_at,
        authors)
    select r.id, p_schedule.workspace_id, 'schedule', p_schedule.id, p_schedule.name, r.tick,
        p_schedule.authors
    from unnest(v_runs, v_ticks) as r (id, tick);
    return v_runs;
end
$$;
