-- Whatever binds, unbinds or drops a queue, in any language, reaches adjust_subscribers.
create or replace function flowbuilder.watch_bindings() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    perform flowbuilder.adjust_subscribers();
    return null;
end
$$;

-- Where pgmq belongs to another role, or is too old for topics, `subscribe` alone does it.
do $$
begin
    create or replace trigger flowbuilder_watch
    after insert or update or delete or truncate on pgmq.topic_bindings
    for each statement execute function flowbuilder.watch_bindings();
exception when insufficient_privilege or undefined_table then
    null;
end
$$;
