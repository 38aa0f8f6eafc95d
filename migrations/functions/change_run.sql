-- cancel, pause and resume: the verbs that people say to a run.
create or replace function flowbuilder.change_run(
    p_workspace uuid, p_run uuid, p_verb text, p_actor text, p_reason text
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_run  flowbuilder.runs;
    v_shut tstzmultirange;
begin
    select * into v_run from flowbuilder.runs
    where id = p_run and workspace_id = p_workspace for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'run_not_found', 'there is no such run');
    end if;
    if not (p_verb = 'cancel' and v_run.status in ('queued', 'running', 'paused')
         or p_verb = 'pause' and v_run.status in ('queued', 'running')
         or p_verb = 'resume' and v_run.status = 'paused') then
        perform flowbuilder.refuse('transition', 'invalid_transition',
            format('cannot %s a run that is %s', p_verb, v_run.status),
            jsonb_build_object('status', v_run.status));
    end if;
    if p_verb = 'cancel' then
        perform flowbuilder.end_run(p_run, 'cancelled', null, null, p_actor, p_reason);
        return;
    end if;
    if flowbuilder.change_waiting(v_run, p_verb, p_actor, p_reason) then
        return;
    end if;
    perform flowbuilder.begin_runs(array[p_run]);
    update flowbuilder.runs
    set status = case p_verb when 'pause' then 'paused' else 'running' end
    where id = p_run;
    -- Out of the way: claims would have to look past the messages of a paused run every time.
    v_shut := coalesce(flowbuilder.shut_places(), '{}');
    update pgmq.q_flowbuilder_tasks q
    set vt = case p_verb when 'pause' then 'infinity' else flowbuilder.clear_place(
        flowbuilder.queue_place(least(t.available_at, flowbuilder.now()), v_run.priority, t.element),
        v_shut) end
    from flowbuilder.tasks t
    where t.run_id = p_run and t.status = 'queued' and q.msg_id = t.message_id;
    perform flowbuilder.append_events(array[(p_run,
        'workflow_' || case p_verb when 'pause' then 'paused' else 'resumed' end, null, null, null,
        json_build_object('workflow_id', p_run, 'reason', p_reason))::flowbuilder.event_draft],
        p_actor);
    if p_verb = 'resume' then
        insert into flowbuilder.slot_news (slot_id)
        select distinct t.blocked_by from flowbuilder.tasks t
        where t.run_id = p_run and t.status = 'queued' and t.blocked_by is not null;
        perform flowbuilder.finish_runs(array[p_run]);
    end if;
end
$$;
