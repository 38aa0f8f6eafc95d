-- Tasks whose time has come: delayed retries get their message, sleeps complete, unanswered
-- approvals expire. Run by run, run first.
create or replace function flowbuilder.wake_tasks(p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_now     timestamptz := flowbuilder.now();
    v_run     uuid;
    v_task    record;
    v_touched uuid[] := '{}';
begin
    for v_run in
        select distinct d.run_id from (
            select t.run_id from flowbuilder.tasks t
            where t.status in ('queued', 'waiting') and t.message_id is null
              and t.available_at <= v_now
            order by t.available_at limit p_limit) d
        order by d.run_id
    loop
        perform 1 from flowbuilder.runs r where r.id = v_run for update skip locked;
        continue when not found;
        v_touched := v_touched || v_run;
        for v_task in
            select t.id, t.status, t.wait ->> 'kind' as kind, a.id as approval_id
            from flowbuilder.tasks t
            left join flowbuilder.approvals a on a.task_id = t.id and a.status = 'pending'
            where t.run_id = v_run and t.status in ('queued', 'waiting') and t.message_id is null
              and t.available_at <= v_now order by t.id limit p_limit
        loop
            if v_task.status = 'queued' then
                perform flowbuilder.send_tasks(array[v_task.id]);
            elsif v_task.kind = 'approval' then
                perform flowbuilder.close_approval(v_task.approval_id, 'expired', null, null, null);
            elsif v_task.kind = 'time' then
                perform flowbuilder.finish_tasks(array[(v_task.id, 'completed',
                    jsonb_build_object('woke_at', v_now), null, null)::flowbuilder.task_result]);
            end if;
        end loop;
    end loop;
    return v_touched;
end
$$;
