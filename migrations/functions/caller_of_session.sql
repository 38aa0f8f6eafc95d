-- Who is calling by an open session, and what they are in the workspace that they name (its slug or
-- id; null: the only one they are in). No row: nobody. Without a workspace its columns are null.
create or replace function flowbuilder.caller_of_session(
    p_session uuid, p_user uuid, p_workspace text
) returns table (user_id uuid, name text, admin boolean, workspace_id uuid, workspace text,
                 roles text[], key_id uuid, scopes text[], memberships integer)
language plpgsql stable set search_path = ''
as $$
begin
    return query
        select u.id, u.name, u.admin, w.id, w.slug, w.roles, null::uuid, null::text[], n.count
        from flowbuilder.sessions s
        join flowbuilder.users u on u.id = s.user_id
        cross join lateral (
            select count(*)::integer as count from flowbuilder.members m where m.user_id = u.id) n
        left join lateral (
            select k.id, k.slug, m.roles from flowbuilder.members m
            join flowbuilder.workspaces k on k.id = m.workspace_id
            where m.user_id = u.id
              and case when p_workspace is null then n.count = 1
                  else k.slug = p_workspace or k.id::text = p_workspace end
            limit 1) w on true
        where s.id = p_session and s.user_id = p_user and s.ended_at is null
          and s.expires_at > flowbuilder.now() and u.disabled_at is null;
end
$$;
