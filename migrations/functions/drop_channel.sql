-- Tell nothing by a channel any more.
create or replace function flowbuilder.drop_channel(p_workspace uuid, p_name text, p_by jsonb)
returns void
language plpgsql set search_path = ''
as $$
begin
    delete from flowbuilder.approval_channels c
    where c.workspace_id = p_workspace and c.name = p_name;
    if not found then
        perform flowbuilder.refuse('not_found', 'channel_not_found', 'there is no such channel');
    end if;
    perform flowbuilder.note_audit(p_by, p_workspace, 'approval.channel.drop', 'channel:' || p_name);
end
$$;
