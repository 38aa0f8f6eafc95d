-- Note in a webhook or schedule who makes or changes it, beside all who have done so before.
create or replace function flowbuilder.note_trigger_author() returns trigger
language plpgsql set search_path = ''
as $$
begin
    if new.updated_by is not null then
        new.authors := array(
            select distinct a from unnest(new.authors || new.updated_by) a order by a);
    end if;
    return new;
end
$$;
