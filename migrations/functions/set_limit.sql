-- Put a limit on the tools whose name fits the pattern; a limit of nothing lifts what the tools declare.
-- What waits for it is looked at anew.
create or replace function flowbuilder.set_limit(
    p_pattern text, p_source text, p_concurrency integer, p_rate_count integer,
    p_rate_seconds double precision, p_actor text
) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.tool_limits as l (pattern, source, concurrency, rate_count,
        rate_seconds, updated_at, updated_by)
    values (p_pattern, p_source, p_concurrency, p_rate_count, p_rate_seconds, flowbuilder.now(),
        p_actor)
    on conflict (pattern, source) do update
    set concurrency = excluded.concurrency, rate_count = excluded.rate_count,
        rate_seconds = excluded.rate_seconds, updated_at = excluded.updated_at,
        updated_by = excluded.updated_by;
    select flowbuilder.refresh_slot(p_pattern)
$$;
