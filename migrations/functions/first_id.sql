-- The lowest id that new_ids.sql could give at this time.
create or replace function flowbuilder.first_id(p_at timestamptz) returns uuid
language sql immutable set search_path = ''
as $$
    select rpad(lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;
