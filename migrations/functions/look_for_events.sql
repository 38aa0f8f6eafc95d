-- The second look of waits that have begun, in a transaction of its own: take their slots, as emit
-- does, then the run. Whoever was emitting has committed by then; whoever emits after that finds
-- the tasks. Slots without an event go again, so that nothing is left of a wait but its task.
create or replace function flowbuilder.look_for_events(p_run uuid, p_tasks json) returns void
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
    v_tasks bigint[] := array(select e::bigint from json_array_elements_text(p_tasks) e);
    v_made  flowbuilder.event_slots[];
begin
    with made as (
        insert into flowbuilder.event_slots as s (workspace_id, name, key)
        select distinct r.workspace_id, t.wait ->> 'name', t.wait ->> 'key'
        from flowbuilder.tasks t join flowbuilder.runs r on r.id = t.run_id
        where t.id = any (v_tasks) and t.status = 'waiting' and t.wait ->> 'kind' = 'event'
        order by 1, 2, 3
        on conflict (workspace_id, name, key) do update  -- locks the slot and changes nothing
            set name = excluded.name where false
        returning s.*
    )
    select array_agg(m) into v_made from made m;
    perform flowbuilder.lock_runs(array[p_run]);
    perform flowbuilder.deliver_events(v_tasks);
    delete from flowbuilder.event_slots s using unnest(v_made) m
    where s.workspace_id = m.workspace_id and s.name = m.name and s.key = m.key;
end
$$;
