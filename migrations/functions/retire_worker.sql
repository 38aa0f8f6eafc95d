-- live → stopped or dead: what the worker held is queued again at no cost of attempts, tasks whose
-- function lived only there fail with `function_gone`. Returns the runs touched.
create or replace function flowbuilder.retire_worker(p_worker uuid, p_status text) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_runs uuid[];
    v_gone flowbuilder.task_result[];
begin
    update flowbuilder.workers set status = p_status where id = p_worker and status = 'live';
    if not found then
        return '{}';
    end if;
    v_runs := flowbuilder.lock_runs(array(
        select t.run_id from flowbuilder.tasks t
        where t.worker_id = p_worker and t.status = 'running'
        union
        select r.id from flowbuilder.runs r
        join flowbuilder.version_steps v on v.version_id = r.version_id
        where r.finished_at is null and v.owner_id = p_worker));
    perform flowbuilder.requeue_tasks(p_worker, v_runs);
    select array_agg((t.id, 'failed', null, jsonb_build_object('code', 'function_gone', 'message',
        'the function of this step lived in a process that is gone'), null
        )::flowbuilder.task_result order by t.id)
    into v_gone
    from flowbuilder.tasks t
    where t.owner_id = p_worker and t.run_id = any (v_runs)
      and t.status in ('queued', 'waiting');
    perform flowbuilder.finish_tasks(v_gone);
    return v_runs;
end
$$;
