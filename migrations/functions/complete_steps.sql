-- running → completed for steps without remaining tasks: the output that the result of the one task
-- brings or, for a map, the outputs in the order of the elements, null in the place of a forgiven
-- failure.
create or replace function flowbuilder.complete_steps(
    p_places flowbuilder.place[], p_results flowbuilder.task_result[]
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_events flowbuilder.event_draft[];
begin
    if cardinality(p_places) = 0 then
        return;
    end if;
    with completed as (
        update flowbuilder.run_steps s
        set status = 'completed', finished_at = flowbuilder.now(),
            output = coalesce(case when v.for_each is null
                then (select g.output from unnest(p_results) g
                      join flowbuilder.tasks t on t.id = g.task_id
                      where t.run_id = s.run_id and t.position = s.position limit 1)
                else (select coalesce(json_agg(coalesce(t.output, 'null') order by t.element), '[]')
                      from flowbuilder.tasks t
                      where t.run_id = s.run_id and t.position = s.position and t.element >= 0)
                end, 'null')
        from unnest(p_places) p, flowbuilder.version_steps v
        where s.run_id = p.run_id and s.position = p.position and s.status = 'running'
          and v.id = s.node_id
        returning s.run_id, s.step_id, s.position, s.task_count
    )
    select array_agg((c.run_id, 'task_completed', c.step_id, null, null, json_build_object(
        'result', '[]'::json, 'duration_ms', 0))::flowbuilder.event_draft
        order by c.run_id, c.position)
    into v_events from completed c where c.task_count = 0;
    if v_events is not null then
        perform flowbuilder.begin_runs(array(select distinct e.run_id from unnest(v_events) e));
        perform flowbuilder.append_events(v_events);
    end if;
end
$$;
