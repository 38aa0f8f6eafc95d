-- Say where a workspace's approvals are told; a name that is known is said anew. At most 100. `p_known`:
-- users log in here, so that a person's channel is that of a member, and brings links only when it is
-- that person who sets it, or has confirmed what it is.
create or replace function flowbuilder.put_channel(
    p_workspace uuid, p_name text, p_channel jsonb, p_known boolean, p_by jsonb
) returns setof flowbuilder.approval_channels
language plpgsql set search_path = ''
as $$
begin
    if (select count(*) from flowbuilder.approval_channels c
        where c.workspace_id = p_workspace and c.name <> p_name) >= 100 then
        perform flowbuilder.refuse('conflict', 'too_many_channels', 'there are 100 channels already');
    end if;
    if p_known and p_channel ->> 'user' is not null and flowbuilder.roles_held(
        p_workspace, flowbuilder.plain_name(p_channel ->> 'user')) = '{}' then
        perform flowbuilder.refuse('invalid', 'member_not_found', 'there is no such member',
            '{"pointer": "/user"}');
    end if;
    perform flowbuilder.note_audit(p_by, p_workspace, 'approval.channel.put', 'channel:' || p_name,
        p_channel);
    return query
        insert into flowbuilder.approval_channels as c (workspace_id, name, kind, user_name, address,
            webhook, audience, updated_at, updated_by, confirmed_at)
        values (p_workspace, p_name, p_channel ->> 'kind',
            flowbuilder.plain_name(p_channel ->> 'user'), p_channel ->> 'address',
            p_channel ->> 'webhook',
            array(select jsonb_array_elements_text(coalesce(p_channel -> 'for', '[]'))),
            flowbuilder.now(), p_by ->> 'actor',
            case when not p_known or flowbuilder.plain_name(p_channel ->> 'user')
                                     = flowbuilder.plain_name(p_by ->> 'actor')
                then flowbuilder.now() end)
        on conflict (workspace_id, name) do update
        set kind = excluded.kind, user_name = excluded.user_name, address = excluded.address,
            webhook = excluded.webhook, audience = excluded.audience,
            updated_at = excluded.updated_at, updated_by = excluded.updated_by,
            confirmed_at = coalesce(excluded.confirmed_at,
                case when (c.user_name, c.address) = (excluded.user_name, excluded.address)
                     then c.confirmed_at end)
        returning c.*;
end
$$;
