-- Whether some session holds the advisory lock of a worker. Read, never taken: trying to take it
-- would look like a living worker to everybody else.
create or replace function flowbuilder.is_locked(p_worker uuid) returns boolean
language sql stable set search_path = ''
as $$
    select exists (
        select from pg_catalog.pg_locks l
        where l.locktype = 'advisory' and l.granted and l.objsubid = 1
          and l.database = (select d.oid from pg_catalog.pg_database d
                            where d.datname = pg_catalog.current_database())
          and l.classid::bigint = ('x' || substr(p_worker::text, 1, 8))::bit(32)::bigint
          and l.objid::bigint = ('x' || substr(replace(p_worker::text, '-', ''), 9, 8))::bit(32)::bigint)
$$;
