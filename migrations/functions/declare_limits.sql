-- Keep what the tools that a worker offers (`name@version`) declare as their limits, [{pattern,
-- concurrency, rate_count, rate_seconds}, …]; what others of these tools declared before goes.
create or replace function flowbuilder.declare_limits(p_tools text[], p_limits jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
    delete from flowbuilder.tool_limits l
    where l.source = 'tool'
      and l.pattern in (select split_part(t, '@', 1) from unnest(p_tools) t)
      and l.pattern not in (select d ->> 'pattern' from jsonb_array_elements(p_limits) d);
    perform flowbuilder.set_limit(d.pattern, 'tool', d.concurrency, d.rate_count, d.rate_seconds, null)
    from jsonb_to_recordset(p_limits) as d (pattern text, concurrency integer, rate_count integer,
                                            rate_seconds double precision)
    where not exists (
        select from flowbuilder.tool_limits l
        where l.pattern = d.pattern and l.source = 'tool'
          and (l.concurrency, l.rate_count, l.rate_seconds)
              is not distinct from (d.concurrency, d.rate_count, d.rate_seconds));
end
$$;
