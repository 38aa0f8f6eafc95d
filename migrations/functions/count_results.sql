-- Count ended tasks against their steps: completed ones, and failed elements of maps that forgive.
-- Completes the steps in which no task remains, admits the next elements of the others, and
-- returns the steps that ended.
create or replace function flowbuilder.count_results(
    p_tasks bigint[], p_results flowbuilder.task_result[]
) returns flowbuilder.place[]
language plpgsql set search_path = ''
as $$
declare
    v_ended  flowbuilder.place[];
    v_mapped flowbuilder.place[];
begin
    with done as (
        select t.run_id, t.position, t.element, s.node_id
        from flowbuilder.tasks t
        join flowbuilder.runs r on r.id = t.run_id and (r.finished_at is null) is true
        join flowbuilder.run_steps s
          on s.run_id = t.run_id and s.position = t.position and s.status = 'running'
        join flowbuilder.version_steps v on v.id = s.node_id
        where t.id = any (p_tasks) and t.kind = 'step'
          and (t.status = 'completed'
               or t.status = 'failed' and t.element >= 0 and v.on_error <> 'fail')
    ),
    counted as (
        update flowbuilder.run_steps s set remaining_tasks = s.remaining_tasks - d.n
        from (select d.run_id, d.position, count(*) as n from done d
              group by d.run_id, d.position) d
        where s.run_id = d.run_id and s.position = d.position
    )
    select array_agg((d.run_id, d.position)::flowbuilder.place order by d.run_id, d.position)
               filter (where d.element < 0),
           array_agg((d.run_id, d.position)::flowbuilder.place) filter (where d.element >= 0)
    into v_ended, v_mapped from done d;
    v_ended := coalesce(v_ended, '{}');
    perform flowbuilder.complete_steps(v_ended, p_results);
    return v_ended || flowbuilder.advance_maps(coalesce(v_mapped, '{}'));
end
$$;
