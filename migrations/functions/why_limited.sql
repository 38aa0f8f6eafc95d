-- Which limit keeps a task back: what it counts by, how many run under it and wait for it, and when its
-- rate lets the next one start.
create or replace function flowbuilder.why_limited(p_slot bigint, p_now timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object('limit', s.kind, 'name', case s.kind when 'tool' then s.name
            else regexp_replace(s.name, '^[^/]*/', '') end,
        'key', nullif(s.key, ''), 'concurrency', s.concurrency, 'rate_count', s.rate_count,
        'rate_seconds', s.rate_seconds, 'running', (
            select count(*) from flowbuilder.slot_uses u
            join flowbuilder.tasks t
              on t.id = u.task_id and t.fence = u.fence and t.status = 'running'
            where u.slot_id = s.id),
        'waiting', (select count(*) from flowbuilder.tasks t
                    where t.blocked_by = s.id and t.status = 'queued'),
        'next_at', flowbuilder.slot_opens_at(s, p_now))
    from flowbuilder.limit_slots s where s.id = p_slot
$$;
