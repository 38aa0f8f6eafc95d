-- Store a password's hash anew with today's parameters, if it is still the one that was verified.
create or replace function flowbuilder.refresh_password_hash(
    p_user uuid, p_old text, p_new text
) returns void
language sql set search_path = ''
as $$
    update flowbuilder.users set password_hash = p_new where id = p_user and password_hash = p_old
$$;
