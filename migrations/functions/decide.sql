-- Decide an approval, once. Approving a gate queues the task with exactly the arguments that were
-- shown (or the edited ones); approving a question completes its task with the answer; rejecting
-- fails the task. Where several people have to agree, the last of them decides; one who rejects is
-- enough, unless it takes more. The second decision is refused with who decided, and so is one after
-- the deadline, or of somebody who may not decide at this moment. `p_voter`: {known: users log in,
-- channel, address, link: the hash of the link that is used up by this}.
create or replace function flowbuilder.decide(
    p_workspace uuid, p_approval uuid, p_approve boolean, p_by text, p_comment text,
    p_value json, p_args_hash text, p_value_hash text default null, p_voter jsonb default '{}'
) returns setof flowbuilder.approvals
language plpgsql set search_path = ''
as $$
declare
    v_approval flowbuilder.approvals;
    v_mandate  record;
    v_enough   boolean;
begin
    select * into v_approval from flowbuilder.approvals
    where id = p_approval and workspace_id = p_workspace;
    if not found then
        perform flowbuilder.refuse('not_found', 'approval_not_found', 'there is no such approval');
    end if;
    perform flowbuilder.lock_runs(array[v_approval.run_id]);
    select * into v_approval from flowbuilder.approvals where id = p_approval for update;
    v_mandate := flowbuilder.mandate(v_approval, p_by, coalesce((p_voter ->> 'known')::boolean, false));
    if v_mandate.refusal is not null then
        perform flowbuilder.refuse_voter(v_approval, p_by, v_mandate.refusal);
    end if;
    perform flowbuilder.refuse_late(v_approval);
    if p_args_hash is not null and p_args_hash <> v_approval.args_hash then
        perform flowbuilder.refuse('conflict', 'arguments_changed',
            'the decision is about other arguments than those waiting');
    end if;
    if p_voter ? 'link' then
        perform flowbuilder.spend_link(decode(p_voter ->> 'link', 'hex'), p_approval, p_by);
    end if;
    p_voter := p_voter || jsonb_build_object('on_behalf', v_mandate.on_behalf);
    if p_approve then
        v_enough := flowbuilder.record_vote(p_approval, p_by, p_comment,
            flowbuilder.checked(p_value), coalesce(p_value_hash, v_approval.args_hash), p_voter);
    else
        v_enough := flowbuilder.record_refusal(p_approval, p_by, p_comment, p_voter);
    end if;
    if v_enough then
        perform flowbuilder.close_approval(p_approval,
            case when p_approve then 'approved' else 'rejected' end, p_by, p_comment,
            flowbuilder.checked(p_value));
    end if;
    select * into v_approval from flowbuilder.approvals where id = p_approval;
    perform flowbuilder.note_act(v_approval, case when p_approve then 'approve' else 'reject' end,
        p_by, p_voter, p_comment,
        case when p_approve then coalesce(p_value_hash, v_approval.args_hash) end, p_value);
    return next v_approval;
end
$$;
