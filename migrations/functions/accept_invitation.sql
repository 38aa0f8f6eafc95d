-- Set a password by a one-time token, and end whatever sessions there were. Returns the user's name;
-- null for a token that is unknown, used or over: nobody learns which.
create or replace function flowbuilder.accept_invitation(
    p_hash bytea, p_password_hash text, p_by jsonb
) returns text
language plpgsql set search_path = ''
as $$
declare
    v_name text;
begin
    with taken as (
        delete from flowbuilder.invitations where hash = p_hash returning user_id, expires_at
    )
    update flowbuilder.users u set password_hash = p_password_hash
    from taken t
    where u.id = t.user_id and t.expires_at > flowbuilder.now() and u.disabled_at is null
    returning u.name into v_name;
    if not found then
        return null;
    end if;
    update flowbuilder.sessions s set ended_at = flowbuilder.now(), end_reason = 'password set'
    from flowbuilder.users u
    where u.name = v_name and s.user_id = u.id and s.ended_at is null;
    perform flowbuilder.note_audit(p_by || jsonb_build_object('actor', 'user:' || v_name), null,
        'user.password', 'user:' || v_name);
    return v_name;
end
$$;
