-- The clock of everything: the database's own, moved by the row in flowbuilder.clock.
create or replace function flowbuilder.now() returns timestamptz
language sql stable set search_path = ''
as $$
    select pg_catalog.clock_timestamp() + c.offset_by from flowbuilder.clock c
$$;
