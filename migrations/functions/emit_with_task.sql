-- An event that a task emits: kept in the outbox in the transaction that completes the task, so both
-- are committed or neither is, and nothing here waits for the event's slot or for other runs.
create or replace function flowbuilder.emit_with_task(
    p_run uuid, p_task bigint, p_name text, p_key text, p_payload json,
    p_keep_seconds double precision
) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.outbox (kind, run_id, task_id, payload, created_at)
    select 'emit_event', r.id, p_task, json_build_object('workspace', r.workspace_id,
        'name', p_name, 'key', p_key, 'payload', flowbuilder.checked(p_payload),
        'by', 'run:' || r.id, 'keep_seconds', p_keep_seconds), flowbuilder.now()
    from flowbuilder.runs r where r.id = p_run
$$;
