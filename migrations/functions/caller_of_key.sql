-- Who is calling by a key, and what its owner is in its workspace now. No row: nobody. The columns are
-- those of caller_of_session. A workspace that is named has to be the key's.
create or replace function flowbuilder.caller_of_key(
    p_prefix text, p_hash bytea, p_workspace text
) returns table (user_id uuid, name text, admin boolean, workspace_id uuid, workspace text,
                 roles text[], key_id uuid, scopes text[], memberships integer)
language plpgsql set search_path = ''
as $$
declare
    v_now timestamptz := flowbuilder.now();
    v_key flowbuilder.api_keys;
begin
    select * into v_key from flowbuilder.api_keys k
    where k.prefix = p_prefix and k.hash = p_hash and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > v_now);
    if not found then
        return;
    end if;
    if v_key.last_used_at is null or v_key.last_used_at < v_now - interval '1 minute' then
        update flowbuilder.api_keys k set last_used_at = v_now
        where k.id = (select o.id from flowbuilder.api_keys o
                      where o.id = v_key.id for update skip locked);
    end if;
    return query
        select u.id, u.name, false, w.id, w.slug, m.roles, v_key.id, v_key.scopes, 1
        from flowbuilder.users u
        join flowbuilder.members m on m.user_id = u.id and m.workspace_id = v_key.workspace_id
        left join flowbuilder.workspaces w on w.id = m.workspace_id
          and (p_workspace is null or w.slug = p_workspace or w.id::text = p_workspace)
        where u.id = v_key.user_id and u.disabled_at is null;
end
$$;
