-- Add a step at the end of a draft, if that still is the revision which the caller has looked at.
create or replace function flowbuilder.append_step(
    p_workspace uuid, p_slug text, p_revision uuid, p_step json,
    out head integer, out revision uuid, out updated_at timestamptz
)
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.flows f set revision = gen_random_uuid(), updated_at = flowbuilder.now()
    where f.workspace_id = p_workspace and f.slug = p_slug and f.revision = p_revision
    returning f.head, f.revision, f.updated_at
    into append_step.head, append_step.revision, append_step.updated_at;
    if not found then
        perform flowbuilder.refuse('conflict', 'draft_changed',
            format('the draft of %s was changed meanwhile', p_slug));
    end if;
    insert into flowbuilder.draft_steps (workspace_id, slug, place, step)
    values (p_workspace, p_slug, (
        select coalesce(max(s.place), 0) + 1 from flowbuilder.draft_steps s
        where s.workspace_id = p_workspace and s.slug = p_slug), flowbuilder.checked(p_step));
end
$$;
