-- Users by name, or the one of this name, with what they are in which workspace.
create or replace function flowbuilder.user_list(p_name text default null) returns setof jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object('id', u.id, 'name', u.name, 'admin', u.admin,
        'disabled', u.disabled_at is not null, 'has_password', u.password_hash is not null,
        'created_at', u.created_at, 'created_by', u.created_by,
        'workspaces', (
            select coalesce(jsonb_object_agg(w.slug, to_jsonb(m.roles)), '{}')
            from flowbuilder.members m join flowbuilder.workspaces w on w.id = m.workspace_id
            where m.user_id = u.id))
    from flowbuilder.users u
    where p_name is null or u.name = p_name order by u.name
$$;
