-- The number of the slot (workspace, name, key), by which waits are found. Two slots may share one:
-- who finds a task by it looks at the name and the key as well.
create or replace function flowbuilder.event_slot(p_workspace uuid, p_name text, p_key text)
returns bigint
language sql immutable strict set search_path = ''
as $$
    select pg_catalog.hashtextextended(p_workspace || e'\n' || p_name || e'\n' || p_key, 0)
$$;
