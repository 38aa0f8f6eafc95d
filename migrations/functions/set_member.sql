-- Say what a user is in a workspace; an empty list takes the membership away. A workspace that has an
-- administrator keeps one.
create or replace function flowbuilder.set_member(
    p_workspace uuid, p_user text, p_roles text[], p_by jsonb
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_user   uuid;
    v_before text[];
begin
    perform 1 from flowbuilder.workspaces where id = p_workspace for update;
    select id into v_user from flowbuilder.users where name = p_user;
    if not found then
        if p_roles = '{}' then  -- whether somebody has this name elsewhere is nobody's affair here
            perform flowbuilder.refuse('not_found', 'member_not_found', 'there is no such member');
        end if;
        perform flowbuilder.refuse('not_found', 'user_not_found', 'there is no such user');
    end if;
    select roles into v_before from flowbuilder.members
    where workspace_id = p_workspace and user_id = v_user;
    if v_before is null and p_roles = '{}' then
        perform flowbuilder.refuse('not_found', 'member_not_found', 'there is no such member');
    end if;
    if 'admin' = any (v_before) and not 'admin' = any (p_roles) and not exists (
        select from flowbuilder.members m where m.workspace_id = p_workspace
          and m.user_id <> v_user and 'admin' = any (m.roles)) then
        perform flowbuilder.refuse('conflict', 'last_admin', 'the last administrator has to stay one');
    end if;
    if p_roles = '{}' then
        delete from flowbuilder.members where workspace_id = p_workspace and user_id = v_user;
        update flowbuilder.api_keys set revoked_at = flowbuilder.now()  -- also should they come back
        where workspace_id = p_workspace and user_id = v_user and revoked_at is null;
    else
        insert into flowbuilder.members as m (workspace_id, user_id, roles, added_at, added_by)
        values (p_workspace, v_user, p_roles, flowbuilder.now(), p_by ->> 'actor')
        on conflict (workspace_id, user_id) do update set roles = excluded.roles;
    end if;
    perform flowbuilder.note_audit(p_by, p_workspace, 'member.set', 'user:' || p_user,
        jsonb_build_object('before', coalesce(to_jsonb(v_before), '[]'), 'after', to_jsonb(p_roles)));
end
$$;
