-- End a session at once: whatever names it counts no more. Ending it again changes nothing.
create or replace function flowbuilder.end_session(p_session uuid, p_by jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.sessions set ended_at = flowbuilder.now(), end_reason = 'logged out'
    where id = p_session and ended_at is null;
    if found then
        perform flowbuilder.note_audit(p_by, null, 'session.end', 'session:' || p_session);
    end if;
end
$$;
