-- Write down whom the workspace's channels have to tell that these people are asked. A person's channel
-- is told of what that person may decide, a room's of what is asked of those that it is for. `p_level`:
-- 0 where it is requested, then the number of the escalation.
create or replace function flowbuilder.tell_approvers(
    p_it flowbuilder.approvals, p_asked text[], p_level integer
) returns void
language plpgsql set search_path = ''
as $$
begin
    if not exists (select from flowbuilder.approval_channels c
                   where c.workspace_id = p_it.workspace_id) then
        return;
    end if;
    insert into flowbuilder.approval_notices (workspace_id, approval_id, channel, level, next_at,
        created_at)
    select c.workspace_id, p_it.id, c.name, p_level, flowbuilder.now(), flowbuilder.now()
    from flowbuilder.approval_channels c
    cross join lateral flowbuilder.asked_as(c.workspace_id, coalesce(c.user_name, ''), exists (
        select from flowbuilder.users u where u.name = c.user_name)) o
    where c.workspace_id = p_it.workspace_id
      and case when c.user_name is null
          then c.audience = '{}' or p_asked = '{}' or c.audience && p_asked
          else flowbuilder.is_asked(p_asked, o.names, o.free)
               and flowbuilder.plain_name(c.user_name) <> all (p_it.excluded) end
    on conflict do nothing;
end
$$;
