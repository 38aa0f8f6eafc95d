-- Say of a person's channel that it is theirs (`p_user`; null: whoever asks), so that it may bring links;
-- refused when it leads somewhere else by now than they have seen.
create or replace function flowbuilder.confirm_channel(
    p_workspace uuid, p_name text, p_user text, p_address text, p_by jsonb
) returns setof flowbuilder.approval_channels
language plpgsql set search_path = ''
as $$
declare
    v_it flowbuilder.approval_channels;
begin
    select * into v_it from flowbuilder.approval_channels c
    where c.workspace_id = p_workspace and c.name = p_name and c.user_name is not null
      and (p_user is null or c.user_name = flowbuilder.plain_name(p_user)) for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'channel_not_found', 'there is no such channel');
    elsif v_it.address is distinct from p_address then
        perform flowbuilder.refuse('conflict', 'channel_changed',
            'the channel leads somewhere else: look at it again',
            jsonb_build_object('address', v_it.address));
    end if;
    perform flowbuilder.note_audit(p_by, p_workspace, 'approval.channel.confirm',
        'channel:' || p_name, jsonb_build_object('address', v_it.address));
    return query
        update flowbuilder.approval_channels c set confirmed_at = flowbuilder.now()
        where c.workspace_id = p_workspace and c.name = p_name returning c.*;
end
$$;
