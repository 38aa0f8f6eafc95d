-- Whose affair it is what a trigger starts: all who have made it, changed it, or given it a secret. A run
-- keeps them as they were when it was started, whatever becomes of the trigger.
alter table flowbuilder.webhooks add authors text[] not null default '{}';
alter table flowbuilder.schedules add authors text[] not null default '{}';
alter table flowbuilder.run_triggers add authors text[] not null default '{}';
update flowbuilder.webhooks set authors = array[updated_by] where updated_by is not null;
update flowbuilder.schedules set authors = array[updated_by] where updated_by is not null;

-- The function is made with the others, later.
create function flowbuilder.note_trigger_author() returns trigger
language plpgsql set search_path = ''
as $$ begin return new; end $$;
create trigger webhooks_note_author before insert or update of updated_by on flowbuilder.webhooks
    for each row execute function flowbuilder.note_trigger_author();
create trigger schedules_note_author before insert or update of updated_by on flowbuilder.schedules
    for each row execute function flowbuilder.note_trigger_author();
