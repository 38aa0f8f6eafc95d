-- Change a user: `p_change` {admin?, disabled?, password_hash?}. A new password and being disabled end
-- all sessions but `p_keep`; one administrator who can act always stays.
create or replace function flowbuilder.change_user(
    p_name text, p_change jsonb, p_keep uuid, p_by jsonb
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_user flowbuilder.users;
begin
    perform 1 from flowbuilder.users where admin order by id for update;
    select * into v_user from flowbuilder.users where name = p_name for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'user_not_found', 'there is no such user');
    end if;
    if v_user.admin and v_user.disabled_at is null
       and ((p_change ->> 'admin')::boolean is false or (p_change ->> 'disabled')::boolean)
       and not exists (select from flowbuilder.users u
                       where u.admin and u.disabled_at is null and u.id <> v_user.id) then
        perform flowbuilder.refuse('conflict', 'last_admin', 'the last administrator has to stay one');
    end if;
    update flowbuilder.users u
    set admin = coalesce((p_change ->> 'admin')::boolean, u.admin),
        password_hash = coalesce(p_change ->> 'password_hash', u.password_hash),
        disabled_at = case (p_change ->> 'disabled')::boolean
            when true then coalesce(u.disabled_at, flowbuilder.now())
            when false then null else u.disabled_at end
    where u.id = v_user.id;
    if (p_change ->> 'disabled')::boolean or p_change ? 'password_hash' then
        delete from flowbuilder.invitations where user_id = v_user.id;
        update flowbuilder.sessions
        set ended_at = flowbuilder.now(), end_reason = 'user changed'
        where user_id = v_user.id and ended_at is null and id is distinct from p_keep;
    end if;
    perform flowbuilder.note_audit(p_by, null, 'user.change', 'user:' || p_name,
        (p_change - 'password_hash')
        || case when p_change ? 'password_hash' then '{"password": "changed"}' else '{}' end::jsonb);
end
$$;
