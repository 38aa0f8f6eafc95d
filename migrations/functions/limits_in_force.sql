-- The limits on tools that count, each with how many tasks run under it, how many it keeps back, and
-- when its rate lets the next one start (null: now).
create or replace function flowbuilder.limits_in_force()
returns table (pattern text, source text, concurrency integer, rate_count integer,
               rate_seconds double precision, updated_at timestamptz, updated_by text,
               running integer, waiting integer, next_at timestamptz)
language sql stable set search_path = ''
as $$
    select l.pattern, l.source, l.concurrency, l.rate_count, l.rate_seconds, l.updated_at,
        l.updated_by, (
            select count(*)::integer from flowbuilder.slot_uses u
            join flowbuilder.tasks t
              on t.id = u.task_id and t.fence = u.fence and t.status = 'running'
            where u.slot_id = s.id),
        (select count(*)::integer from flowbuilder.tasks t
         where t.blocked_by = s.id and t.status = 'queued'),
        flowbuilder.slot_opens_at(s, flowbuilder.now())
    from (select distinct on (l.pattern) l.* from flowbuilder.tool_limits l
          order by l.pattern, l.source) l
    left join flowbuilder.limit_slots s on s.kind = 'tool' and s.name = l.pattern
    order by l.pattern
$$;
