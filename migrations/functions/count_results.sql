-- Count ended tasks against their steps: completed ones, and failed elements of maps that forgive.
-- Completes the steps in which no task remains, admits the next elements of the others, and
-- returns the steps that ended.
create or replace function flowbuilder.count_results(p_tasks bigint[])
returns flowbuilder.place[]
language plpgsql set search_path = ''
as $$
declare
    v_ended flowbuilder.place[];
    v_open  record;
begin
    with done as (
        select t.run_id, t.position, count(*) as n
        from flowbuilder.tasks t
        join flowbuilder.runs r on r.id = t.run_id and r.finished_at is null
        join flowbuilder.version_steps v
          on v.version_id = r.version_id and v.position = t.position
        where t.id = any (p_tasks) and t.kind = 'step'
          and (t.status = 'completed'
               or t.status = 'failed' and t.element >= 0 and v.on_error <> 'fail')
        group by t.run_id, t.position
    ),
    counted as (
        update flowbuilder.run_steps s set remaining_tasks = s.remaining_tasks - d.n
        from done d
        where s.run_id = d.run_id and s.position = d.position and s.status = 'running'
        returning s.run_id, s.position, s.remaining_tasks
    )
    select array_agg((c.run_id, c.position)::flowbuilder.place order by c.run_id, c.position)
    into v_ended from counted c where c.remaining_tasks = 0;
    for v_open in
        select t.run_id, t.position, count(*)::integer as n
        from flowbuilder.tasks t
        join flowbuilder.run_steps s on s.run_id = t.run_id and s.position = t.position
        where t.id = any (p_tasks) and t.element >= 0 and s.remaining_tasks > 0
          and s.status = 'running'
        group by t.run_id, t.position order by t.run_id, t.position
    loop
        perform flowbuilder.admit((v_open.run_id, v_open.position)::flowbuilder.place, v_open.n);
    end loop;
    if v_ended is null then
        return '{}';
    end if;
    perform flowbuilder.complete_steps(v_ended);
    return v_ended;
end
$$;
