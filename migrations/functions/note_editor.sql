-- Note in a draft who has changed it last, and in a version of whom its draft was.
create or replace function flowbuilder.note_editor() returns trigger
language plpgsql set search_path = ''
as $$
declare
    v_actor text := nullif(current_setting('flowbuilder.actor', true), '');
begin
    if tg_table_name = 'flows' then
        new.edited_by := coalesce(v_actor, old.edited_by);
    else
        select f.edited_by into new.edited_by from flowbuilder.flows f
        where f.workspace_id = new.workspace_id and f.slug = new.slug;
    end if;
    return new;
end
$$;
