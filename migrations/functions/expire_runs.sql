-- Open runs past their deadline → failed, so that every run ends; it may be their budget of time that
-- is over.
create or replace function flowbuilder.expire_runs(p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_run     record;
    v_touched uuid[] := '{}';
begin
    for v_run in
        select r.id, r.deadline_at, r.status from flowbuilder.runs r
        where r.watched and r.deadline_at <= flowbuilder.now()
        order by r.deadline_at limit p_limit for update skip locked
    loop
        perform flowbuilder.end_run(v_run.id, 'failed', null, coalesce(
            flowbuilder.time_breach(v_run.id), jsonb_build_object(
            'code', 'deadline_exceeded',
            'message', format('the run was not finished by its deadline, %s%s', v_run.deadline_at, (
                select '; under way: ' || string_agg(s.step_id, ', ' order by s.position)
                from (select u.step_id, u.position from flowbuilder.run_steps u
                      where u.run_id = v_run.id and u.status = 'running'
                      order by u.position limit 5) s)))));
        v_touched := v_touched || v_run.id;
    end loop;
    return v_touched;
end
$$;
