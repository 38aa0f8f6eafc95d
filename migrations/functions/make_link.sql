-- Keep the hash of a link by which one person decides one pending approval; it counts until the deadline.
create or replace function flowbuilder.make_link(
    p_workspace uuid, p_approval uuid, p_user text, p_hash bytea, p_voter jsonb
) returns timestamptz
language plpgsql set search_path = ''
as $$
declare
    v_it flowbuilder.approvals;
begin
    select * into v_it from flowbuilder.approvals
    where id = p_approval and workspace_id = p_workspace;
    if not found then
        perform flowbuilder.refuse('not_found', 'approval_not_found', 'there is no such approval');
    end if;
    perform flowbuilder.refuse_late(v_it);
    insert into flowbuilder.approval_links (hash, workspace_id, approval_id, user_name, created_at,
        expires_at)
    values (p_hash, p_workspace, p_approval, flowbuilder.plain_name(p_user), flowbuilder.now(),
            v_it.deadline_at);
    perform flowbuilder.note_act(v_it, 'link', p_user, p_voter, null);
    return v_it.deadline_at;
end
$$;
