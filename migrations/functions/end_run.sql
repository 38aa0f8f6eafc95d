-- Any open state → completed, failed or cancelled, once: what is open inside the run is cancelled,
-- its messages go, the last event is written, and the parent and the children hear of it through
-- the outbox. The caller holds the run's lock. A run that fails undoes first what its steps have done,
-- if they say how (see begin_compensation.sql): then it ends later, with the same error.
create or replace function flowbuilder.end_run(
    p_run uuid, p_status text, p_output json, p_error jsonb,
    p_actor text default null, p_reason text default null
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_run  flowbuilder.runs;
    v_type text := 'workflow_' || p_status;
    v_error jsonb := p_error;
begin
    if p_status = 'failed' then
        perform flowbuilder.begin_runs(array[p_run]);
        select * into v_run from flowbuilder.runs
        where id = p_run and (finished_at is null) is true;
        if v_run.failure is not null then
            v_error := v_run.failure || flowbuilder.compensation_report(p_run, p_error);
        elsif v_run.replanning is not null then
            v_error := flowbuilder.close_replan(p_run, p_error);
        end if;
        if v_run.id is null or v_run.failure is null
           and flowbuilder.begin_compensation(p_run, v_error) then
            return;
        end if;
    end if;
    update flowbuilder.runs
    set status = p_status, finished_at = flowbuilder.now(), watched = false, holds = 0,
        output = case when p_status = 'completed' then coalesce(p_output, 'null') end,
        error = case when p_status = 'failed' then v_error end,
        started_at = case when p_status = 'completed'
                     then coalesce(started_at, flowbuilder.now()) else started_at end
    where id = p_run and (finished_at is null) is true  -- by the key, whatever else is there
    returning * into v_run;
    if not found then
        return;
    end if;
    delete from flowbuilder.run_holds where run_id = p_run;
    if v_run.replanning is not null then
        perform flowbuilder.close_replan(p_run, null);  -- that of one that is cancelled
    end if;
    perform flowbuilder.abandon_tasks(p_run);
    perform flowbuilder.append_events(array[(p_run, v_type, null, null, null,
        case p_status
            when 'completed' then json_build_object('workflow_id', p_run,
                'final_result', v_run.output)
            when 'failed' then json_build_object('workflow_id', p_run, 'error', v_error,
                'failed_task', v_error -> 'task_id')
            else json_build_object('workflow_id', p_run, 'reason', p_reason)
        end)::flowbuilder.event_draft], p_actor);
    perform flowbuilder.tell_family(array[p_run]);
end
$$;
