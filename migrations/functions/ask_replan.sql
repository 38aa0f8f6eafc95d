-- A step of a (locked) run failed for good. Where the run may be planned anew, it does not fail: it is
-- held open for a re-planner, what else the step has under way is cancelled, and the answer is null.
-- Else the answer is the error that the run fails with. A run asks for one new plan at a time: a step
-- that fails meanwhile is seen to by the same one. Who denies what a new plan has added, has denied
-- that plan.
create or replace function flowbuilder.ask_replan(p_place flowbuilder.place, p_error jsonb)
returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_run   flowbuilder.runs;
    v_now   timestamptz := flowbuilder.now();
    v_first jsonb;
    v_count integer;
    v_owner text := 'replan:' || gen_random_uuid();
    v_at    timestamptz;
begin
    select * into v_run from flowbuilder.runs where id = p_place.run_id;
    if v_run.replanning is null then
        return p_error;
    end if;
    if exists (select from flowbuilder.replans r where r.run_id = v_run.id and r.status = 'open') then
        perform flowbuilder.abandon_step(p_place);
        return null;
    end if;
    select r.error into v_first from flowbuilder.replans r
    where r.run_id = v_run.id and p_error ->> 'step' = any (r.added)
      and p_error ->> 'code' in ('approval_rejected', 'approval_expired')
    order by r.number limit 1;
    if v_first is not null then
        return v_first || jsonb_build_object('replan', jsonb_build_object('code', 'replan_denied',
            'message', format('what the new plan does instead was not allowed (%s)',
                p_error ->> 'message'), 'error', p_error));
    end if;
    select count(*) into v_count from flowbuilder.replans r where r.run_id = v_run.id;
    if v_count >= (v_run.replanning ->> 'most')::integer then
        return p_error || jsonb_build_object('replan', jsonb_build_object('code', 'replans_used_up',
            'message', format('the run was planned anew %s times already', v_count)));
    end if;
    v_at := least(v_run.deadline_at,
        v_now + make_interval(secs => (v_run.replanning ->> 'seconds')::double precision));
    insert into flowbuilder.replans (run_id, number, step_id, error, status, owner, requested_at,
        deadline_at)
    values (v_run.id, v_count + 1, p_error ->> 'step', p_error, 'open', v_owner, v_now, v_at);
    insert into flowbuilder.run_holds (run_id, owner, reason, held_at, deadline_at)
    values (v_run.id, v_owner, format('step %s failed: the rest is to be planned anew',
        p_error ->> 'step'), v_now, v_at);
    update flowbuilder.runs set holds = holds + 1 where id = v_run.id;
    perform flowbuilder.abandon_step(p_place);
    perform flowbuilder.append_events(array[(v_run.id, 'workflow_replanning', p_error ->> 'step',
        null, null, json_build_object('workflow_id', v_run.id, 'step_name', p_error ->> 'step',
            'error', p_error, 'replan', v_count + 1, 'deadline_at', v_at)
        )::flowbuilder.event_draft]);
    return null;
end
$$;
