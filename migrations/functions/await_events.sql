-- Tasks (of locked runs) that have just begun to wait for events: they can be found by their slots
-- from now on, and those whose event is there already go on at once. An event that is being emitted
-- at this moment cannot be seen from here, and to wait for its slot would turn the order of locks
-- round: so each run gets a row in the outbox, after whose transaction nothing was missed.
create or replace function flowbuilder.await_events(p_tasks bigint[]) returns void
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.tasks t
    set slot = flowbuilder.event_slot(r.workspace_id, t.wait ->> 'name', t.wait ->> 'key')
    from flowbuilder.runs r where t.id = any (p_tasks) and r.id = t.run_id;
    perform flowbuilder.deliver_events(p_tasks);
    insert into flowbuilder.outbox (kind, run_id, payload, created_at)
    select 'await_event', t.run_id, json_agg(t.id order by t.id), flowbuilder.now()
    from flowbuilder.tasks t where t.id = any (p_tasks) and t.status = 'waiting'
    group by t.run_id order by t.run_id;
end
$$;
