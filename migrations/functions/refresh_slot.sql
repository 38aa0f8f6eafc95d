-- The limit of a pattern was changed: its slot learns the numbers that count now, and counts what runs
-- already and was started without it. What waits in the slot is looked at anew.
create or replace function flowbuilder.refresh_slot(p_pattern text) returns void
language plpgsql set search_path = ''
as $$
declare
    v_limit flowbuilder.tool_limits;
    v_slot  bigint;
begin
    -- as in lock_slots.sql: no claim shall wait for this
    perform pg_advisory_xact_lock(hashtextextended(concat_ws('/', 'tool', p_pattern, ''), 0));
    select l.* into v_limit from flowbuilder.tool_limits l
    where l.pattern = p_pattern order by l.source limit 1;
    insert into flowbuilder.limit_slots as s (kind, name, concurrency, rate_count, rate_seconds,
        used_at)
    values ('tool', p_pattern, v_limit.concurrency, v_limit.rate_count, v_limit.rate_seconds,
        flowbuilder.now())
    on conflict (kind, name, key) do update
    set concurrency = excluded.concurrency, rate_count = excluded.rate_count,
        rate_seconds = excluded.rate_seconds, used_at = excluded.used_at
    returning id into v_slot;
    insert into flowbuilder.slot_uses (slot_id, task_id, fence)
    select v_slot, t.id, t.fence
    from flowbuilder.workers w
    cross join lateral flowbuilder.leased_tasks(w.id) t
    where w.status = 'live' and t.kind in ('step', 'compensate')
      and exists (select from flowbuilder.limits_of_tool(t.tool) l where l.pattern = p_pattern)
    on conflict do nothing;
    insert into flowbuilder.slot_news (slot_id) values (v_slot);
end
$$;
