-- The waits for events of one (locked) run whose time is over: they fail, or end with null where
-- they asked for that. An event that was there in time still wins.
create or replace function flowbuilder.expire_waits(p_run uuid, p_now timestamptz) returns void
language plpgsql set search_path = ''
as $$
declare
    v_due bigint[] := array(
        select t.id from flowbuilder.tasks t
        where t.run_id = p_run and t.status = 'waiting' and t.parked
          and t.available_at <= p_now and t.wait ->> 'kind' = 'event');
begin
    if v_due = '{}' then
        return;
    end if;
    perform flowbuilder.deliver_events(v_due);
    perform flowbuilder.finish_tasks(array(
        select case when t.wait ->> 'on_timeout' = 'null'
            then (t.id, 'completed', 'null', null, null)::flowbuilder.task_result
            else (t.id, 'failed', null, jsonb_build_object('code', 'event_timeout', 'message',
                format('no event %s%s came before %s', t.wait ->> 'name',
                       coalesce(' ' || nullif(t.wait ->> 'key', ''), ''),
                       to_char(t.available_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))),
                null)::flowbuilder.task_result end
        from flowbuilder.tasks t
        where t.id = any (v_due) and t.status = 'waiting' order by t.available_at, t.id));
end
$$;
