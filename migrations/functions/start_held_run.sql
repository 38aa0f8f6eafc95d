-- Start one run (see start_runs.sql) that is held open from its first moment on (see hold_run.sql), for
-- somebody who goes on to add steps. A run that an idempotency key has started before is held as well,
-- if it has not ended. `p_terms` as in start_runs.sql. Answers {run_id, created}.
create or replace function flowbuilder.start_held_run(
    p_workspace uuid, p_version uuid, p_input json, p_key text,
    p_deadline_seconds double precision, p_plan uuid, p_actor text,
    p_owner text, p_reason text, p_hold_seconds double precision, p_terms jsonb default '{}'
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_started json := flowbuilder.start_runs(p_workspace, p_version, array[p_input], array[p_key],
        p_deadline_seconds, p_plan, p_actor, p_terms => p_terms || '{"holds": 1}') -> 'runs' -> 0;
    v_run     uuid := v_started ->> 0;
    v_now     timestamptz := flowbuilder.now();
begin
    if (v_started ->> 1)::boolean then  -- counted already: a map of nothing ends while it starts
        insert into flowbuilder.run_holds (run_id, owner, reason, held_at, deadline_at)
        select v_run, p_owner, p_reason, v_now, v_now + make_interval(secs => p_hold_seconds)
        from flowbuilder.runs r where r.id = v_run and r.holds > 0;  -- else it has failed already
    elsif not exists (
        select from flowbuilder.runs r where r.id = v_run and r.finished_at is not null) then
        perform flowbuilder.hold_run(p_workspace, v_run, p_owner, p_reason, p_hold_seconds);
    end if;
    return json_build_object('run_id', v_run, 'created', v_started -> 1);
end
$$;
