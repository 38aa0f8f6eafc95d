-- End tasks of (locked) runs as completed, failed or skipped, and carry the runs on. What a
-- failure means is decided by the step's `on_error`. A task that has ended already counts for
-- nothing.
create or replace function flowbuilder.finish_tasks(p_results flowbuilder.task_result[])
returns void
language plpgsql set search_path = ''
as $$
declare
    v_closed bigint[];
    v_ended  flowbuilder.place[];
    v_task   record;
begin
    if coalesce(cardinality(p_results), 0) = 0 then
        return;
    end if;
    v_closed := flowbuilder.record_results(p_results);
    v_ended := flowbuilder.count_results(v_closed, p_results);
    for v_task in
        select t.run_id, t.position, t.kind, t.status, g.output, t.error, t.id
        from unnest(p_results) with ordinality as g (task_id, status, output, error, reason, place)
        join flowbuilder.tasks t on t.id = g.task_id
        where t.id = any (v_closed) and (t.kind <> 'step' or t.status <> 'completed')
        order by g.place
    loop
        if v_task.kind = 'finish' then
            perform flowbuilder.end_run(v_task.run_id, v_task.status, v_task.output, v_task.error);
        elsif v_task.kind = 'compensate' then
            perform flowbuilder.continue_compensation(v_task.run_id);
        elsif v_task.kind = 'expand' and v_task.status = 'completed' then
            if flowbuilder.start_map((v_task.run_id, v_task.position)::flowbuilder.place) then
                v_ended := v_ended || (v_task.run_id, v_task.position)::flowbuilder.place;
            end if;
        elsif v_task.status = 'skipped' then
            perform flowbuilder.skip_steps(
                array[(v_task.run_id, v_task.position)::flowbuilder.place], 'condition', null);
            v_ended := v_ended || (v_task.run_id, v_task.position)::flowbuilder.place;
        elsif v_task.status = 'failed' and flowbuilder.fail_step(
            (v_task.run_id, v_task.position)::flowbuilder.place, v_task.error, v_task.id) then
            v_ended := v_ended || (v_task.run_id, v_task.position)::flowbuilder.place;
        end if;
    end loop;
    perform flowbuilder.settle(null, null, v_ended);
end
$$;
