-- Make a user. The first one of an installation has to be made by somebody with the database in hand.
create or replace function flowbuilder.create_user(
    p_name text, p_password_hash text, p_admin boolean, p_by jsonb
) returns uuid
language plpgsql set search_path = ''
as $$
declare
    v_user uuid;
begin
    insert into flowbuilder.users (name, password_hash, admin, created_at, created_by)
    values (p_name, p_password_hash, p_admin, flowbuilder.now(), p_by ->> 'actor')
    on conflict (name) do nothing
    returning id into v_user;
    if not found then
        perform flowbuilder.refuse('conflict', 'user_exists', format('there is a user %s already', p_name));
    end if;
    perform flowbuilder.note_audit(p_by, null, 'user.create', 'user:' || p_name,
        jsonb_build_object('admin', p_admin));
    return v_user;
end
$$;
