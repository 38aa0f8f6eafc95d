-- The transactions that have written to the queue, or are about to, and have not ended.
create or replace function flowbuilder.queue_writers() returns text[]
language sql set search_path = ''
as $$
    select array(
        select l.virtualtransaction from pg_catalog.pg_locks l
        where l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and l.granted
          and l.relation = 'pgmq.q_flowbuilder_tasks'::regclass
          and l.database = (select d.oid from pg_catalog.pg_database d
                            where d.datname = current_database()))
$$;
