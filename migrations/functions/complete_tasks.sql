-- running → completed for the outcomes `completed` of steps' tasks, guarded by state, fence and
-- worker, and counted against their steps. An unmapped step ends with its task and is returned in
-- `ended`; the elements of a map are returned in `mapped`, as often as they are.
-- `is true` keeps the planner on the primary key, whatever it thinks of indexes over few rows.
create or replace function flowbuilder.complete_tasks(
    p_worker uuid, p_outcomes flowbuilder.outcome[], p_now timestamptz,
    out closed bigint[], out events flowbuilder.event_draft[],
    out ended flowbuilder.place[], out mapped flowbuilder.place[]
)
language plpgsql set search_path = ''
as $$
begin
    with done as (
        update flowbuilder.tasks t
        set status = 'completed', finished_at = p_now, lease_until = null,
            output = case when t.element >= 0 then coalesce(g.output, 'null') end
        from unnest(p_outcomes) g
        where g.kind = 'completed' and t.id = g.task_id and t.fence = g.fence
          and (t.run_id = g.run_id) is true and t.kind = 'step'
          and (t.worker_id = p_worker) is true and (t.status = 'running') is true
        returning t.id, t.run_id, t.position, t.element, t.step_id, t.attempt,
            greatest(0, (extract(epoch from p_now - t.started_at) * 1000)::integer) as duration,
            coalesce(g.output, 'null') as output
    ),
    counted as (
        update flowbuilder.run_steps s
        set remaining_tasks = s.remaining_tasks - c.n,
            status = case when c.element < 0 then 'completed' else s.status end,
            finished_at = case when c.element < 0 then p_now end,
            output = case when c.element < 0 then c.output end
        from (select d.run_id, d.position, max(d.element) as element, count(*)::integer as n,
                     (array_agg(d.output))[1] as output
              from done d group by d.run_id, d.position) c
        where s.run_id = c.run_id and s.position = c.position and s.status = 'running'
    )
    select array_agg(d.id),
           array_agg((d.run_id, 'task_completed', d.step_id, d.id, d.attempt,
               case when d.element < 0
               then json_build_object('result', d.output, 'duration_ms', d.duration)
               else json_build_object('index', d.element, 'result', d.output,
                   'duration_ms', d.duration) end)::flowbuilder.event_draft),
           array_agg((d.run_id, d.position)::flowbuilder.place) filter (where d.element < 0),
           array_agg((d.run_id, d.position)::flowbuilder.place) filter (where d.element >= 0)
    into closed, events, ended, mapped from done d;
end
$$;
