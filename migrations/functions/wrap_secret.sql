-- Put a version's data key under another master key. False: the version is not there any more.
create or replace function flowbuilder.wrap_secret(
    p_id uuid, p_version integer, p_key_id text, p_wrapped bytea
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.secrets s
    set key_id = p_key_id, wrapped = p_wrapped
    where s.id = p_id and s.version = p_version;
    return found;
end
$$;
