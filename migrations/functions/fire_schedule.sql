-- Fire a schedule as somebody has read it at `p_revision`; null when somebody else was faster, is just
-- at it, or has changed it. Runs and record are one transaction. `p_ticks`: those that start a run each,
-- by their `p_inputs`; a tick that has its run gets no second one. `p_missed`: the newest that is passed
-- over. `p_error`: why nothing can be started. Then `p_next_tick` is next, at `p_next_at`. A start that
-- is refused for now (too many runs) leaves all as it is, to be looked at again soon. Answers
-- {result, runs, code}.
create or replace function flowbuilder.fire_schedule(
    p_schedule uuid, p_revision bigint, p_ticks timestamptz[], p_inputs json[], p_version uuid,
    p_deadline_seconds double precision, p_terms jsonb, p_missed timestamptz, p_error jsonb,
    p_next_tick timestamptz, p_next_at timestamptz
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_it     flowbuilder.schedules;
    v_result text := 'missed';
    v_error  jsonb := p_error;
    v_runs   uuid[] := '{}';
    v_state  text;
    v_code   text;
    v_said   text;
begin
    select * into v_it from flowbuilder.schedules s
    where s.id = p_schedule and s.revision = p_revision and s.next_at <= v_now
    for update skip locked;
    if not found or exists (select from flowbuilder.schedule_switch w where w.held_at is not null) then
        return null;
    end if;
    if p_error is not null then
        v_result := 'failed';
    elsif v_it.overlap = 'skip' and exists (
        select from flowbuilder.runs r
        where r.id = v_it.last_run_id and r.finished_at is null)
    then
        v_result := 'overlapped';
        v_error := jsonb_build_object('code', 'run_still_open', 'run_id', v_it.last_run_id,
            'message', 'the run before had not ended');
    elsif cardinality(p_ticks) > 0 then
        begin
            v_runs := flowbuilder.start_ticks(v_it, p_ticks, p_inputs, p_version,
                p_deadline_seconds, p_terms);
            v_result := 'started';
        exception when sqlstate 'FB001' or sqlstate 'FB002' or sqlstate 'FB003' or sqlstate 'FB004'
            or sqlstate 'FB005' or data_exception then
            get stacked diagnostics v_state = returned_sqlstate, v_code = constraint_name,
                v_said = message_text;
            v_result := case v_state when 'FB004' then 'refused' else 'failed' end;
            v_error := jsonb_build_object('code', coalesce(nullif(v_code, ''), 'value_refused'),
                'message', v_said);
        end;
    end if;
    perform flowbuilder.record_fire(v_it, v_result, v_error, v_runs, p_ticks, p_missed,
        case when v_result = 'refused' then v_it.tick_at else p_next_tick end,
        case when v_result = 'refused' then v_now + interval '10 seconds' else p_next_at end);
    return jsonb_build_object('result', v_result, 'runs', to_jsonb(v_runs),
        'code', v_error ->> 'code');
end
$$;
