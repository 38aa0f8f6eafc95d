-- queued or waiting → failed with `function_gone`, in the given (locked) runs, for tasks whose
-- function lived only in a worker that is not there any more (see is_gone.sql).
create or replace function flowbuilder.fail_orphans(p_runs uuid[]) returns void
language plpgsql set search_path = ''
as $$
declare
    v_gone flowbuilder.task_result[];
begin
    select array_agg((t.id, 'failed', null, jsonb_build_object('code', 'function_gone', 'message',
        'the function of this step lived in a process that is gone'), null
        )::flowbuilder.task_result order by t.id)
    into v_gone
    from flowbuilder.tasks t
    where t.run_id = any (p_runs) and t.owner_id is not null and t.finished_at is null
      and t.status in ('queued', 'waiting')
      and flowbuilder.is_gone(t.owner_id);
    perform flowbuilder.finish_tasks(v_gone);
end
$$;
