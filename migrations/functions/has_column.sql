-- Whether a table has a column of this name.
create or replace function flowbuilder.has_column(p_table oid, p_column text) returns boolean
language sql stable set search_path = ''
as $$
    select exists (select from pg_catalog.pg_attribute a
                   where a.attrelid = p_table and a.attname = p_column and not a.attisdropped)
$$;
