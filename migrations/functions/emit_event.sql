-- Emit an event: it is kept for `p_keep_seconds`, and completes every wait for its name and key,
-- now and while it is kept. The first one of a name and key stands; another one changes nothing
-- until that one's life is over. The slot is locked before the runs.
-- Answers {already, woke, touched: [run, …], emitted_at, emitted_by, expires_at}.
create or replace function flowbuilder.emit_event(
    p_workspace uuid, p_name text, p_key text, p_payload json, p_by text,
    p_keep_seconds double precision
) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
    v_now   timestamptz := flowbuilder.now();
    v_slot  flowbuilder.event_slots;
    v_mine  boolean;
    v_tasks bigint[];
    v_runs  uuid[];
    v_woke  integer := 0;
begin
    insert into flowbuilder.event_slots as s
        (workspace_id, name, key, payload, emitted_at, emitted_by, expires_at)
    values (p_workspace, p_name, p_key, flowbuilder.checked(p_payload), v_now, p_by,
        v_now + make_interval(secs => p_keep_seconds))
    on conflict (workspace_id, name, key) do update  -- locks the slot in any case
        set payload = excluded.payload, emitted_at = excluded.emitted_at,
            emitted_by = excluded.emitted_by, expires_at = excluded.expires_at
        where s.expires_at <= excluded.emitted_at
    returning * into v_slot;
    v_mine := found;
    if not v_mine then
        select * into v_slot from flowbuilder.event_slots s
        where s.workspace_id = p_workspace and s.name = p_name and s.key = p_key;
    end if;
    select array_agg(t.id), array_agg(distinct t.run_id) into v_tasks, v_runs
    from flowbuilder.tasks t
    where t.slot = flowbuilder.event_slot(p_workspace, p_name, p_key);
    if v_runs is not null then
        perform flowbuilder.lock_runs(v_runs);
        v_woke := flowbuilder.deliver_events(v_tasks);
    end if;
    return jsonb_build_object(
        'already', not v_mine, 'woke', v_woke,
        'touched', to_jsonb(coalesce(v_runs, '{}')), 'emitted_at', v_slot.emitted_at,
        'emitted_by', v_slot.emitted_by, 'expires_at', v_slot.expires_at);
end
$$;
