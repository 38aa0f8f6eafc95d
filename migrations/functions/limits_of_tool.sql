-- The limits that count for a tool (`name@version`): all whose pattern fits, of the same pattern what
-- an administrator said.
create or replace function flowbuilder.limits_of_tool(p_tool text)
returns setof flowbuilder.tool_limits
language sql stable set search_path = ''
as $$
    select c.* from (
        select distinct on (l.pattern) l.*
        from flowbuilder.tool_limits l
        where case when right(l.pattern, 1) = '*'
              then starts_with(split_part(p_tool, '@', 1), left(l.pattern, -1))
              else l.pattern = split_part(p_tool, '@', 1) end
        order by l.pattern, l.source) c  -- 'administrator' before 'tool'
    where c.concurrency is not null or c.rate_count is not null
$$;
