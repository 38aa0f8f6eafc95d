-- Emit the event that a task has left in the outbox; answers the runs that go on by it.
create or replace function flowbuilder.emit_held_event(p_event json) returns jsonb
language sql set search_path = ''
as $$
    select flowbuilder.emit_event((p_event ->> 'workspace')::uuid, p_event ->> 'name',
        p_event ->> 'key', p_event -> 'payload', p_event ->> 'by',
        (p_event ->> 'keep_seconds')::double precision) -> 'touched'
$$;
