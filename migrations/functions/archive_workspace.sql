-- Archive a workspace, or take it out of the archive. What it is already changes nothing.
create or replace function flowbuilder.archive_workspace(
    p_workspace uuid, p_archived boolean, p_by jsonb
) returns void
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.workspaces
    set archived_at = case when p_archived then flowbuilder.now() end
    where id = p_workspace and (archived_at is not null) <> p_archived;
    if found then
        perform flowbuilder.note_audit(p_by, p_workspace,
            case when p_archived then 'workspace.archive' else 'workspace.restore' end,
            'workspace:' || p_workspace);
    end if;
end
$$;
