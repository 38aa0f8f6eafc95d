-- The name of a person as it is compared: `user:Ada` and `ada` are one.
create or replace function flowbuilder.plain_name(p_by text) returns text
language sql immutable strict parallel safe set search_path = ''
as $$ select lower(regexp_replace(p_by, '^user:', '')) $$;
