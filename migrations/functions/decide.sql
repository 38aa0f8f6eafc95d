-- Decide an approval, once. Approving a gate queues the task with exactly the arguments that were
-- shown (or the edited ones); approving a question completes its task with the answer; rejecting
-- fails the task. Where several people have to agree, the last of them decides; one who rejects is
-- enough. The second decision is refused with who decided, and so is one after the deadline.
create or replace function flowbuilder.decide(
    p_workspace uuid, p_approval uuid, p_approve boolean, p_by text, p_comment text,
    p_value json, p_args_hash text, p_value_hash text default null
) returns setof flowbuilder.approvals
language plpgsql set search_path = ''
as $$
declare
    v_approval flowbuilder.approvals;
begin
    select * into v_approval from flowbuilder.approvals
    where id = p_approval and workspace_id = p_workspace;
    if not found then
        perform flowbuilder.refuse('not_found', 'approval_not_found', 'there is no such approval');
    end if;
    perform flowbuilder.lock_runs(array[v_approval.run_id]);
    select * into v_approval from flowbuilder.approvals where id = p_approval for update;
    if v_approval.status <> 'pending' then
        perform flowbuilder.refuse('conflict', 'already_decided',
            format('this was %s already%s', v_approval.status,
                   coalesce(' by ' || v_approval.decided_by, '')),
            jsonb_build_object('status', v_approval.status, 'decided_by', v_approval.decided_by,
                               'decided_at', v_approval.decided_at));
    end if;
    if v_approval.deadline_at <= flowbuilder.now() then
        perform flowbuilder.refuse('conflict', 'already_decided',
            'this has expired: nobody decided before the deadline',
            jsonb_build_object('status', 'expired', 'decided_at', v_approval.deadline_at));
    end if;
    if p_args_hash is not null and p_args_hash <> v_approval.args_hash then
        perform flowbuilder.refuse('conflict', 'arguments_changed',
            'the decision is about other arguments than those waiting');
    end if;
    if p_approve and not flowbuilder.record_vote(p_approval, p_by, p_comment,
        flowbuilder.checked(p_value), coalesce(p_value_hash, v_approval.args_hash)) then
        return query select * from flowbuilder.approvals where id = p_approval;
        return;
    end if;
    perform flowbuilder.close_approval(p_approval,
        case when p_approve then 'approved' else 'rejected' end, p_by, p_comment,
        flowbuilder.checked(p_value));
    return query select * from flowbuilder.approvals where id = p_approval;
end
$$;
