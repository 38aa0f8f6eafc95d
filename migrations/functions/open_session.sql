-- Open a session for a user who has shown the password, and give the attempt back that it was counted
-- as for the name. Returns its id.
create or replace function flowbuilder.open_session(
    p_user uuid, p_refresh bytea, p_refresh_seconds double precision,
    p_session_seconds double precision, p_bucket text, p_by jsonb
) returns uuid
language plpgsql set search_path = ''
as $$
declare
    v_now     timestamptz := flowbuilder.now();
    v_session uuid;
begin
    delete from flowbuilder.sessions s
    where s.user_id = p_user and s.expires_at < v_now;
    insert into flowbuilder.sessions (user_id, address, opened_at, expires_at)
    values (p_user, p_by ->> 'address', v_now, v_now + make_interval(secs => p_session_seconds))
    returning id into v_session;
    insert into flowbuilder.refresh_tokens (hash, session_id, expires_at)
    values (p_refresh, v_session, v_now + make_interval(secs => p_refresh_seconds));
    update flowbuilder.login_buckets set level = 0 where key = p_bucket;
    perform flowbuilder.note_audit(p_by, null, 'session.open', 'session:' || v_session);
    return v_session;
end
$$;
