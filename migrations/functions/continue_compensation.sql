-- Queue the next compensation of a (locked) run that fails, one after the other; when there is none
-- left, the run ends with the error that it failed with.
create or replace function flowbuilder.continue_compensation(p_run uuid) returns void
language plpgsql set search_path = ''
as $$
declare
    v_task bigint;
begin
    insert into flowbuilder.tasks (run_id, position, kind, status, step_id, node_id, tool, owner_id,
        available_at)
    select p_run, c.position, 'compensate', 'queued', 'compensate:' || c.step, c.node_id, c.tool,
        n.owner_id, flowbuilder.now()
    from flowbuilder.compensations(p_run) c
    join flowbuilder.version_steps n on n.id = c.node_id
    where c.task_id is null order by c.place limit 1
    returning id into v_task;
    if v_task is not null then
        perform flowbuilder.send_tasks(array[v_task]);
    else
        perform flowbuilder.end_run(p_run, 'failed', null,
            (select r.failure from flowbuilder.runs r where r.id = p_run));
    end if;
end
$$;
