-- Refuse what begins something new in a workspace that is archived.
create or replace function flowbuilder.require_active_workspace(p_workspace uuid) returns void
language plpgsql stable set search_path = ''
as $$
begin
    if exists (select from flowbuilder.workspaces w
               where w.id = p_workspace and w.archived_at is not null) then
        perform flowbuilder.refuse('conflict', 'workspace_archived',
            'this workspace is archived: it starts no runs');
    end if;
end
$$;
