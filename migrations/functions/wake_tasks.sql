-- Tasks whose time has come: delayed retries get their message, sleeps complete, unanswered
-- approvals expire. Run by run, run first.
create or replace function flowbuilder.wake_tasks(p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_now     timestamptz := flowbuilder.now();
    v_run     uuid;
    v_touched uuid[] := '{}';
begin
    for v_run in
        select distinct d.run_id from (
            select t.run_id from flowbuilder.tasks t
            where t.status in ('queued', 'waiting') and t.message_id is null
              and t.blocked_by is null
              and t.available_at <= v_now
            order by t.available_at limit p_limit) d
        order by d.run_id
    loop
        perform 1 from flowbuilder.runs r where r.id = v_run for update skip locked;
        continue when not found;
        v_touched := v_touched || v_run;
        perform flowbuilder.wake_run(v_run, v_now);
    end loop;
    return v_touched;
end
$$;
