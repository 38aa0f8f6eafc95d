-- Keys of a workspace, newest first: those of one user, or of all.
create or replace function flowbuilder.key_list(
    p_workspace uuid, p_user text default null, p_key uuid default null
) returns setof jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object('id', k.id, 'prefix', 'fb_' || k.prefix, 'name', k.name,
        'owner', u.name, 'scopes', k.scopes, 'created_at', k.created_at,
        'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at)
    from flowbuilder.api_keys k join flowbuilder.users u on u.id = k.user_id
    where k.workspace_id = p_workspace and (p_user is null or u.name = p_user)
      and (p_key is null or k.id = p_key)
    order by k.created_at desc, k.id
$$;
