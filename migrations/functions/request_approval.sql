-- Ask a person about a waiting task: the row that a decision is bound to, its events, and what is to be
-- told to whom. What is of high risk is never agreed to by a deadline that passes.
create or replace function flowbuilder.request_approval(p_task bigint, p_deadline timestamptz)
returns void
language plpgsql set search_path = ''
as $$
declare
    v_approval flowbuilder.approvals;
    v_task     flowbuilder.tasks;
begin
    select * into v_task from flowbuilder.tasks where id = p_task;
    insert into flowbuilder.approvals (workspace_id, run_id, task_id, step_id, kind, status, tool,
        args, args_hash, message, schema, approvers, requested_at, deadline_at, on_deadline, quorum,
        risk, reasons, taint, policy_id, requested_by, separate_duties, excluded, locked, rejections,
        escalation, escalate_at)
    select r.workspace_id, r.id, p_task, v_task.step_id, w.approval_kind, 'pending',
        v_task.tool, coalesce(w.args, 'null'), coalesce(w.args_hash, ''), w.message, w.schema,
        coalesce(w.by, '{}'), flowbuilder.now(), p_deadline,
        case w.risk when 'high' then 'reject' else coalesce(w.on_deadline, 'reject') end,
        coalesce(w.quorum, 1), coalesce(w.risk, 'low'), coalesce(w.reasons, '[]'),
        coalesce(w.taint, '[]'), w.policy, r.actor, coalesce(w.separate_duties, false),
        case when w.separate_duties then flowbuilder.own_affair_of(r.id) else '{}' end,
        coalesce(w.locked, '{}'), coalesce(w.rejections, 1), coalesce(w.escalate, '[]'),
        flowbuilder.now() + make_interval(
            secs => (w.escalate -> 0 ->> 'after_seconds')::double precision)
    from flowbuilder.runs r
    cross join lateral json_to_record(v_task.wait) as w (approval_kind text, args json,
        args_hash text, message text, schema json, by text[], on_deadline text,
        quorum integer, risk text, reasons json, taint json, policy bigint, separate_duties boolean,
        locked text[], rejections integer, escalate json)
    where r.id = v_task.run_id
    returning * into v_approval;
    perform flowbuilder.tell_approvers(v_approval, v_approval.approvers, 0);
    perform flowbuilder.append_events(array[
        (v_task.run_id, 'task_waiting', v_approval.step_id, p_task, v_task.attempt,
            json_build_object('task_id', p_task, 'workflow_id', v_task.run_id,
                'step_name', v_approval.step_id, 'kind', 'approval', 'until', p_deadline)
        )::flowbuilder.event_draft,
        (v_task.run_id, 'approval_requested', v_approval.step_id, p_task, v_task.attempt,
            json_build_object('approval_id', v_approval.id, 'task_id', p_task,
                'workflow_id', v_task.run_id, 'step_name', v_approval.step_id,
                'kind', v_approval.kind, 'tool', v_approval.tool, 'args', v_approval.args,
                'args_hash', v_approval.args_hash, 'message', v_approval.message,
                'schema', v_approval.schema, 'by', v_approval.approvers,
                'quorum', v_approval.quorum, 'risk', v_approval.risk,
                'deadline_at', p_deadline))::flowbuilder.event_draft]);
end
$$;
