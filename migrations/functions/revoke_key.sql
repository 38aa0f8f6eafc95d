-- Revoke a key of a workspace, at once; with `p_user` only one of theirs. Once more changes nothing.
create or replace function flowbuilder.revoke_key(
    p_workspace uuid, p_key uuid, p_user text, p_by jsonb
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_before timestamptz;
begin
    select k.revoked_at into v_before from flowbuilder.api_keys k
    join flowbuilder.users u on u.id = k.user_id
    where k.id = p_key and k.workspace_id = p_workspace and (p_user is null or u.name = p_user)
    for update of k;
    if not found then
        perform flowbuilder.refuse('not_found', 'key_not_found', 'there is no such key');
    end if;
    if v_before is null then
        update flowbuilder.api_keys set revoked_at = flowbuilder.now() where id = p_key;
        perform flowbuilder.note_audit(p_by, p_workspace, 'key.revoke', 'key:' || p_key);
    end if;
end
$$;
