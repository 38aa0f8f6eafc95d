-- Keep a key of a member; only its hash is known here.
create or replace function flowbuilder.create_key(
    p_workspace uuid, p_user text, p_name text, p_prefix text, p_hash bytea, p_scopes text[],
    p_seconds double precision, p_by jsonb
) returns uuid
language plpgsql set search_path = ''
as $$
declare
    v_now timestamptz := flowbuilder.now();
    v_key uuid;
begin
    insert into flowbuilder.api_keys
        (prefix, hash, workspace_id, user_id, name, scopes, created_at, expires_at)
    select p_prefix, p_hash, m.workspace_id, u.id, p_name, p_scopes, v_now,
           v_now + make_interval(secs => p_seconds)
    from flowbuilder.users u
    join flowbuilder.members m on m.user_id = u.id and m.workspace_id = p_workspace
    where u.name = p_user and u.disabled_at is null
    returning id into v_key;
    if not found then
        perform flowbuilder.refuse('not_found', 'member_not_found', 'there is no such member');
    end if;
    perform flowbuilder.note_audit(p_by, p_workspace, 'key.create', 'key:' || v_key,
        jsonb_build_object('name', p_name, 'scopes', to_jsonb(p_scopes), 'owner', p_user));
    return v_key;
end
$$;
