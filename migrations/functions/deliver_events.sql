-- Complete those of the given tasks (of locked runs) whose event is there: emitted before the
-- wait's deadline, and still in its life when the task began. Returns how many. Whether upkeep or
-- an event comes first, the same clock readings decide, so exactly one of them ends a wait.
create or replace function flowbuilder.deliver_events(p_tasks bigint[]) returns integer
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
    v_results flowbuilder.task_result[];
begin
    select array_agg((t.id, 'completed', s.payload, null, null)::flowbuilder.task_result
                     order by t.id)
    into v_results
    from flowbuilder.tasks t
    join flowbuilder.runs r on r.id = t.run_id
    join flowbuilder.event_slots s on s.workspace_id = r.workspace_id
         and s.name = t.wait ->> 'name' and s.key = t.wait ->> 'key'
    where t.id = any (p_tasks) and t.status = 'waiting' and t.wait ->> 'kind' = 'event'
      and s.emitted_at < t.available_at and s.expires_at > t.started_at;
    perform flowbuilder.finish_tasks(v_results);
    return coalesce(cardinality(v_results), 0);
end
$$;
