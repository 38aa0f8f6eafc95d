-- Let a user set the password once, by a token of which this is the hash. Older ones count no more.
create or replace function flowbuilder.invite_user(
    p_name text, p_hash bytea, p_seconds double precision, p_by jsonb
) returns timestamptz
language plpgsql set search_path = ''
as $$
declare
    v_user  flowbuilder.users;
    v_until timestamptz := flowbuilder.now() + make_interval(secs => p_seconds);
begin
    select * into v_user from flowbuilder.users where name = p_name and disabled_at is null for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'user_not_found', 'there is no such user');
    end if;
    delete from flowbuilder.invitations where user_id = v_user.id;
    insert into flowbuilder.invitations (hash, user_id, expires_at, created_by)
    values (p_hash, v_user.id, v_until, p_by ->> 'actor');
    perform flowbuilder.note_audit(p_by, null, 'user.invite', 'user:' || p_name);
    return v_until;
end
$$;
