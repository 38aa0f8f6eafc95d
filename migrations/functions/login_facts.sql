-- What a log-in is checked against; no row for a name that nobody who may log in has.
create or replace function flowbuilder.login_facts(p_name text)
returns table (id uuid, password_hash text)
language sql stable set search_path = ''
as $$
    select u.id, u.password_hash from flowbuilder.users u
    where u.name = p_name and u.password_hash is not null and u.disabled_at is null
$$;
