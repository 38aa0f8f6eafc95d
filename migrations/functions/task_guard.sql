-- What a worker has to know of a task's run to hold a call against policy; null when there is nothing.
create or replace function flowbuilder.task_guard(p_run uuid, p_workspace uuid, p_plan uuid)
returns json
language sql stable set search_path = ''
as $$
    select json_build_object(
        'policy', (select max(p.id) from flowbuilder.policies p
                   where p.workspace_id = p_workspace),
        'planned', p_plan is not null,
        'marks', (select json_agg(m.mark) from flowbuilder.run_marks m where m.run_id = p_run))
$$;
