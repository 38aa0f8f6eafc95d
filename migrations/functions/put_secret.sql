-- Store a sealed value as a version of a secret. False: somebody else was there first, and what was
-- sealed for this version does not belong here any more.
create or replace function flowbuilder.put_secret(
    p_workspace uuid, p_name text, p_id uuid, p_version integer, p_hosts text[], p_tools text[],
    p_description text, p_key_id text, p_wrapped bytea, p_sealed bytea, p_actor text
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    if p_version = 1 then
        insert into flowbuilder.secrets (workspace_id, name, id, version, hosts, tools, description,
            key_id, wrapped, sealed, created_at, updated_at, updated_by)
        values (p_workspace, p_name, p_id, 1, p_hosts, p_tools, p_description,
            p_key_id, p_wrapped, p_sealed, flowbuilder.now(), flowbuilder.now(), p_actor)
        on conflict do nothing;
    else
        update flowbuilder.secrets s
        set version = p_version, hosts = p_hosts, tools = p_tools, description = p_description,
            key_id = p_key_id, wrapped = p_wrapped, sealed = p_sealed,
            updated_at = flowbuilder.now(), updated_by = p_actor
        where s.workspace_id = p_workspace and s.name = p_name
          and s.id = p_id and s.version = p_version - 1;
    end if;
    return found;
end
$$;
