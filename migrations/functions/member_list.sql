-- Members of a workspace by name.
create or replace function flowbuilder.member_list(p_workspace uuid) returns setof jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object('user', u.name, 'roles', m.roles, 'disabled', u.disabled_at is not null,
        'added_at', m.added_at, 'added_by', m.added_by)
    from flowbuilder.members m join flowbuilder.users u on u.id = m.user_id
    where m.workspace_id = p_workspace order by u.name
$$;
