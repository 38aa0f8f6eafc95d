-- What a user is in a workspace at this moment, with all that these roles include; nothing for who is
-- no member, disabled or unknown. It runs as its owner, because requests do not see users; of another
-- workspace than the transaction's it says nothing.
create or replace function flowbuilder.roles_held(p_workspace uuid, p_user text) returns text[]
language sql stable security definer set search_path = ''
as $$
    select coalesce(array_agg(distinct i.role), '{}')
    from flowbuilder.members m
    join flowbuilder.users u on u.id = m.user_id and u.disabled_at is null
    cross join lateral unnest(m.roles) r (role)
    cross join lateral unnest(case r.role when 'admin'
        then array['member', 'builder', 'approver', 'admin'] else array['member', r.role] end) i (role)
    where m.workspace_id = p_workspace and u.name = p_user
      and coalesce(flowbuilder.this_workspace(), p_workspace) = p_workspace
$$;
