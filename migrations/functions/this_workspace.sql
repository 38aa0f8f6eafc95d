-- The workspace that this transaction is about, as the service says it; null: none.
create or replace function flowbuilder.this_workspace() returns uuid
language sql stable parallel safe set search_path = ''
as $$
    select nullif(pg_catalog.current_setting('flowbuilder.workspace', true), '')::uuid
$$;
