-- Whatever binds, unbinds or drops a queue, in any language, reaches adjust_subscribers.
create or replace function flowbuilder.watch_bindings() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    perform flowbuilder.adjust_subscribers();
    return null;
end
$$;

select flowbuilder.adjust_subscribers();
