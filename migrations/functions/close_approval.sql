-- pending → approved, rejected or expired, with what follows for the task. The caller holds the
-- run's lock. An expired approval follows its `on_deadline`. One that is not pending stays as it is.
create or replace function flowbuilder.close_approval(
    p_approval uuid, p_status text, p_by text, p_comment text, p_value json
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_it       flowbuilder.approvals;
    v_granted  boolean;
    v_decision json;
begin
    update flowbuilder.approvals
    set status = p_status, decided_at = flowbuilder.now(), decided_by = p_by, comment = p_comment,
        value = p_value
    where id = p_approval and status = 'pending'
      and (p_status = 'expired' or deadline_at > flowbuilder.now())
    returning * into v_it;
    if not found then
        return;
    end if;
    v_granted := p_status = 'approved' or p_status = 'expired' and v_it.on_deadline = 'approve';
    v_decision := json_build_object('approved', v_granted, 'by', p_by, 'comment', p_comment,
                                    'value', p_value);
    perform flowbuilder.append_events(array[(v_it.run_id,
        case p_status when 'expired' then 'approval_expired' else 'approval_decided' end,
        v_it.step_id, v_it.task_id, null,
        json_build_object('approval_id', v_it.id, 'decision', p_status, 'approved', v_granted,
            'by', p_by, 'comment', p_comment, 'value', p_value,
            'task_id', v_it.task_id, 'workflow_id', v_it.run_id, 'step_name', v_it.step_id,
            'args_hash', v_it.args_hash))::flowbuilder.event_draft], p_by);
    if not v_granted then
        perform flowbuilder.finish_tasks(array[(v_it.task_id, 'failed', null, jsonb_build_object(
            'code', 'approval_' || p_status, 'message', case p_status
                when 'expired' then 'nobody decided before the deadline'
                else format('rejected by %s%s', p_by, coalesce(': ' || p_comment, '')) end),
            null)::flowbuilder.task_result]);
    elsif v_it.kind = 'gate' then
        update flowbuilder.tasks
        set status = 'queued', approved = true, args = coalesce(p_value, args), wait = null,
            available_at = flowbuilder.now(), attempt = greatest(attempt - 1, 0)
        where id = v_it.task_id and status = 'waiting';  -- whatever was written into the approval
        perform flowbuilder.send_tasks(array[v_it.task_id]);
    else
        perform flowbuilder.finish_tasks(array[(v_it.task_id, 'completed',
            case v_it.kind when 'input' then coalesce(p_value, 'null') else v_decision end,
            null, null)::flowbuilder.task_result]);
    end if;
end
$$;
