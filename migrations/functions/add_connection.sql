-- Keep a connection of a workspace, and return its id. A workspace has `p_most` at most.
create or replace function flowbuilder.add_connection(
    p_workspace uuid, p_name text, p_kind text, p_definition json, p_document json,
    p_most integer, p_actor text
) returns integer
language plpgsql set search_path = ''
as $$
declare
    v_id integer;
begin
    perform pg_advisory_xact_lock(hashtextextended('flowbuilder.connections ' || p_workspace, 0));
    if (select count(*) from flowbuilder.connections c where c.workspace_id = p_workspace) >= p_most
    then
        perform flowbuilder.refuse('conflict', 'too_many_connections',
            format('a workspace has %s connections at most', p_most));
    end if;
    insert into flowbuilder.connections (workspace_id, name, kind, definition, document, created_at,
        created_by)
    values (p_workspace, p_name, p_kind, flowbuilder.checked(p_definition),
        flowbuilder.checked(p_document), flowbuilder.now(), p_actor)
    on conflict (name) do nothing
    returning id into v_id;
    if v_id is null then
        perform flowbuilder.refuse('conflict', 'connection_exists',
            format('the name %s is taken', p_name));
    end if;
    return v_id;
end
$$;
