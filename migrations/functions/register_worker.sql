-- Make a worker known under its random instance id; again with another set of tools, or after it
-- was given up though it lived: what it held then was queued again, so no old report of it counts.
create or replace function flowbuilder.register_worker(
    p_worker uuid, p_name text, p_host text, p_pid integer, p_tools text[], p_concurrency integer,
    p_max_claims integer
) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.workers as w (id, name, host, pid, status, tools, concurrency,
        max_claims, started_at, last_seen_at)
    values (p_worker, p_name, p_host, p_pid, 'live', p_tools, p_concurrency, p_max_claims,
        flowbuilder.now(), flowbuilder.now())
    on conflict (id) do update
    set status = 'live', tools = excluded.tools, concurrency = excluded.concurrency,
        last_seen_at = excluded.last_seen_at,
        lock_seen = w.lock_seen and w.status = 'live',
        suspect_at = case when w.status = 'live' then w.suspect_at end
    where w.status <> 'stopped'
$$;
