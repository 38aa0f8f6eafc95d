-- Forget what queues are still to get of events that retention has deleted.
create or replace function flowbuilder.prune_deliveries() returns void
language sql set search_path = ''
as $$
    delete from flowbuilder.deliveries d
    where not exists (select from flowbuilder.events e where e.stream = d.stream and e.seq = d.seq)
$$;
