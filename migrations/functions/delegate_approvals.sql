-- Let somebody decide, until a time or for so long, what another member is asked for. At most 90 days.
-- `p_known`: users log in here, so that the one who stands in has to be somebody who may decide.
create or replace function flowbuilder.delegate_approvals(
    p_workspace uuid, p_of text, p_to text, p_until timestamptz, p_seconds double precision,
    p_known boolean, p_by jsonb
) returns setof flowbuilder.approval_delegations
language plpgsql set search_path = ''
as $$
declare
    v_row flowbuilder.approval_delegations;
    v_now timestamptz := flowbuilder.now();
    v_end timestamptz := coalesce(p_until, v_now + make_interval(secs => least(p_seconds, 1e8)));
begin
    if v_end is null or v_end <= v_now or v_end > v_now + interval '90 days' then
        perform flowbuilder.refuse('invalid', 'delegation_invalid',
            'a delegation ends within 90 days', '{"pointer": "/until"}');
    elsif flowbuilder.plain_name(p_of) = flowbuilder.plain_name(p_to) then
        perform flowbuilder.refuse('invalid', 'delegation_invalid',
            'nobody delegates to themselves', '{"pointer": "/to"}');
    elsif p_known and not 'approver' = any (
            flowbuilder.roles_held(p_workspace, flowbuilder.plain_name(p_to))) then
        perform flowbuilder.refuse('invalid', 'delegate_not_approver',
            format('%s may not decide approvals here', p_to), '{"pointer": "/to"}');
    elsif exists (select from flowbuilder.approval_delegations d
                  where d.workspace_id = p_workspace and d.of_user = flowbuilder.plain_name(p_of)
                    and d.revoked_at is null and d.ends_at > v_now
                  having count(*) >= 20) then
        perform flowbuilder.refuse('conflict', 'too_many_delegations',
            'there are 20 delegations of this person already');
    end if;
    insert into flowbuilder.approval_delegations as d (workspace_id, of_user, to_user, created_at,
        created_by, ends_at)
    values (p_workspace, flowbuilder.plain_name(p_of), flowbuilder.plain_name(p_to), v_now,
            p_by ->> 'actor', v_end)
    returning * into v_row;
    perform flowbuilder.note_audit(p_by, p_workspace, 'approval.delegate', 'user:' || v_row.of_user,
        jsonb_build_object('to', 'user:' || v_row.to_user, 'until', v_row.ends_at));
    return next v_row;
end
$$;
