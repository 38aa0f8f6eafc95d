-- Take a refresh token for the next one. `{user, name, session}`, or `{refused}`: a token that comes a
-- second time was stolen from somebody, so its session ends. That has to be kept: nothing is raised.
create or replace function flowbuilder.rotate_refresh(
    p_old bytea, p_new bytea, p_seconds double precision, p_by jsonb
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_now     timestamptz := flowbuilder.now();
    v_token   flowbuilder.refresh_tokens;
    v_session flowbuilder.sessions;
    v_user    flowbuilder.users;
begin
    select s.* into v_session from flowbuilder.sessions s
    join flowbuilder.refresh_tokens t on t.session_id = s.id where t.hash = p_old for update of s;
    select * into v_token from flowbuilder.refresh_tokens where hash = p_old;
    if v_session.id is null then
        return '{"refused": "unknown"}';
    end if;
    select * into v_user from flowbuilder.users where id = v_session.user_id;
    p_by := p_by || jsonb_build_object('actor', 'user:' || v_user.name);
    if v_token.used_at is not null and v_session.ended_at is null then
        update flowbuilder.sessions set ended_at = v_now, end_reason = 'refresh token reused'
        where id = v_session.id;
        perform flowbuilder.note_audit(p_by, null, 'session.reuse', 'session:' || v_session.id);
        return '{"refused": "reused"}';
    end if;
    if v_session.ended_at is not null or v_session.expires_at <= v_now
       or v_token.expires_at <= v_now or v_user.disabled_at is not null then
        return '{"refused": "over"}';
    end if;
    update flowbuilder.refresh_tokens set used_at = v_now where hash = p_old;
    insert into flowbuilder.refresh_tokens (hash, session_id, expires_at)
    values (p_new, v_session.id, v_now + make_interval(secs => p_seconds));
    return jsonb_build_object('user', v_user.id, 'name', v_user.name, 'session', v_session.id);
end
$$;
