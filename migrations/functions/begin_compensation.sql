-- A (locked) run fails, and steps of it that have completed say how they are undone: everything that
-- is open in it is cancelled, the error is kept, and the compensations begin. It has ten minutes for
-- that besides what was left until its deadline. False when there is nothing to undo.
create or replace function flowbuilder.begin_compensation(p_run uuid, p_error jsonb)
returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_steps json;
begin
    select json_agg(json_build_object('step', c.step, 'tool', c.tool) order by c.place)
    into v_steps from flowbuilder.compensations(p_run) c;
    if v_steps is null then
        return false;
    end if;
    delete from flowbuilder.run_holds where run_id = p_run;
    update flowbuilder.runs
    set failure = p_error, holds = 0,
        deadline_at = greatest(deadline_at, flowbuilder.now()) + interval '10 minutes'
    where id = p_run;
    perform flowbuilder.abandon_tasks(p_run);
    perform flowbuilder.append_events(array[(p_run, 'workflow_compensating', null, null, null,
        json_build_object('workflow_id', p_run, 'error', p_error, 'steps', v_steps)
        )::flowbuilder.event_draft]);
    insert into flowbuilder.outbox (kind, run_id, task_id, payload, created_at)
    select 'cancel_child', c.id, null, json_build_object('reason', 'its parent run failed'),
           flowbuilder.now()
    from flowbuilder.runs c where c.parent_run_id = p_run and (c.finished_at is null) is true;
    perform flowbuilder.continue_compensation(p_run);
    return true;
end
$$;
