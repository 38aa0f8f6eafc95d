-- Workspaces by slug: those of a user, or all (`p_user` null), with what the user is there.
create or replace function flowbuilder.workspace_list(p_user uuid, p_name text default null)
returns setof jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object('id', w.id, 'slug', w.slug, 'created_at', w.created_at,
        'archived_at', w.archived_at,
        'members', (select count(*) from flowbuilder.members n where n.workspace_id = w.id),
        'roles', coalesce(to_jsonb(m.roles), '[]'))
    from flowbuilder.workspaces w
    left join flowbuilder.members m on m.workspace_id = w.id and m.user_id = p_user
    where (p_user is null or m.user_id is not null)
      and (p_name is null or w.slug = p_name or w.id::text = p_name)
    order by w.slug
$$;
