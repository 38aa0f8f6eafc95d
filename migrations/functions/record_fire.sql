-- Write down what came of a schedule's ticks, and when the next one is. What did not start a run is
-- noted in the log when it is another reason than the last time.
create or replace function flowbuilder.record_fire(
    p_schedule flowbuilder.schedules, p_result text, p_error jsonb, p_runs uuid[],
    p_ticks timestamptz[], p_missed timestamptz, p_next_tick timestamptz, p_next_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.schedules s
    set revision = s.revision + 1, tick_at = p_next_tick, next_at = p_next_at,
        last_tick_at = coalesce(p_ticks[cardinality(p_ticks)], s.last_tick_at),
        last_at = flowbuilder.now(), last_result = p_result, last_error = p_error,
        last_run_id = coalesce(p_runs[cardinality(p_runs)], s.last_run_id),
        missed_at = coalesce(p_missed, s.missed_at), fires = s.fires + cardinality(p_runs)
    where s.id = p_schedule.id;
    if p_result <> 'started'
       and (p_schedule.last_result, p_schedule.last_error ->> 'code')
           is distinct from (p_result, p_error ->> 'code')
    then
        perform flowbuilder.note_audit(
            jsonb_build_object('actor', 'schedule:' || p_schedule.name, 'channel', 'schedule'),
            p_schedule.workspace_id, 'schedule.' || p_result, p_schedule.id::text,
            coalesce(p_error, jsonb_build_object('missed_at', p_missed)));
    end if;
end
$$;
