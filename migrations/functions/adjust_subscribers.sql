-- After bindings of topics were changed: one row for each queue that may get events, and the
-- trigger on events exactly while there is one. Bound without `subscribe`, a queue gets the events
-- of all workspaces. Whoever waits for the lock of events holds up everybody behind him, so nobody
-- waits for long: a trigger that cannot be made is an error, one that cannot be dropped stays.
create or replace function flowbuilder.adjust_subscribers() returns void
language plpgsql security definer set search_path = '' set lock_timeout = '300ms'
as $$
declare
    v_routes boolean;
begin
    if to_regclass('pgmq.topic_bindings') is null then  -- older than topics
        return;
    end if;
    perform pg_advisory_xact_lock(hashtext('flowbuilder.subscribers'));
    if not exists (
        select from pg_catalog.pg_trigger t
        where t.tgrelid = 'pgmq.topic_bindings'::regclass and t.tgname = 'flowbuilder_watch'
    ) then  -- never made, or not in a backup, which leaves out what is an extension's
        begin
            create trigger flowbuilder_watch
            after insert or update or delete or truncate on pgmq.topic_bindings
            for each statement execute function flowbuilder.watch_bindings();
        exception when insufficient_privilege or lock_not_available then
            null;  -- another role's: then `subscribe` alone comes here
        end;
    end if;
    insert into flowbuilder.subscribers (queue)
    select distinct b.queue_name from pgmq.topic_bindings b
    where split_part(b.pattern, '.', 1) ~
          '[*#]|^(workflow_events|task_events|approval_events|plan_events)$'
    on conflict (queue) do nothing;
    delete from flowbuilder.subscribers s
    where not exists (select from pgmq.topic_bindings b where b.queue_name = s.queue);
    v_routes := exists (
        select from pg_catalog.pg_trigger t
        where t.tgrelid = 'flowbuilder.events'::regclass and t.tgname = 'events_route');
    if exists (select from flowbuilder.subscribers) then
        if not v_routes then
            create trigger events_route after insert on flowbuilder.events
            referencing new table as written
            for each statement execute function flowbuilder.route_events();
        end if;
        delete from flowbuilder.deliveries d
        where not exists (select from flowbuilder.subscribers s where s.queue = d.queue);
        return;
    end if;
    if v_routes then
        begin
            drop trigger events_route on flowbuilder.events;
        exception when lock_not_available then
            null;
        end;
    end if;
    delete from flowbuilder.deliveries;
end
$$;
