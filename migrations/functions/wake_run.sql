-- Wake the due tasks of one (locked) run. Each kind is looked up anew, because what wakes before it
-- may have ended the run.
create or replace function flowbuilder.wake_run(p_run uuid, p_now timestamptz) returns void
language plpgsql set search_path = ''
as $$
declare
    v_approval uuid;
begin
    perform flowbuilder.send_tasks(array(
        select t.id from flowbuilder.tasks t
        where t.run_id = p_run and t.status = 'queued' and t.parked
          and t.available_at <= p_now order by t.available_at, t.id));
    perform flowbuilder.finish_tasks(array(
        select (t.id, 'completed', json_build_object('woke_at', p_now), null, null
               )::flowbuilder.task_result
        from flowbuilder.tasks t
        where t.run_id = p_run and t.status = 'waiting' and t.parked
          and t.available_at <= p_now and t.wait ->> 'kind' = 'time' order by t.available_at, t.id));
    perform flowbuilder.expire_waits(p_run, p_now);
    for v_approval in
        select a.id from flowbuilder.approvals a
        where a.run_id = p_run and a.status = 'pending' and a.deadline_at <= p_now
        order by a.deadline_at, a.task_id
    loop
        perform flowbuilder.close_approval(v_approval, 'expired', null, null, null);
    end loop;
end
$$;
