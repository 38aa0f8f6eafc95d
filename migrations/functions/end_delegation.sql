-- End a delegation at once; `p_of` (null: whoever) is whose it has to be.
create or replace function flowbuilder.end_delegation(
    p_workspace uuid, p_id uuid, p_of text, p_by jsonb
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_row flowbuilder.approval_delegations;
begin
    update flowbuilder.approval_delegations d set revoked_at = flowbuilder.now()
    where d.id = p_id and d.workspace_id = p_workspace and d.revoked_at is null
      and (p_of is null or d.of_user = flowbuilder.plain_name(p_of))
    returning * into v_row;
    if not found then
        perform flowbuilder.refuse('not_found', 'delegation_not_found',
            'there is no such delegation');
    end if;
    perform flowbuilder.note_audit(p_by, p_workspace, 'approval.delegate.end',
        'user:' || v_row.of_user, jsonb_build_object('to', 'user:' || v_row.to_user));
end
$$;
