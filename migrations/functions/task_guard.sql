-- What a worker has to know of a task's run to hold a call against policy. `parts`: the flows that steps
-- of the plan call because it was divided, by step; each was held against policy as a plan itself.
create or replace function flowbuilder.task_guard(p_run uuid, p_workspace uuid, p_plan uuid)
returns json
language sql stable set search_path = ''
as $$
    select json_build_object(
        'policy', (select max(p.id) from flowbuilder.policies p
                   where p.workspace_id = p_workspace),
        'planned', p_plan is not null,
        'parts', (select json_object_agg(c ->> 'step', c -> 'plan' -> 'flow' ->> 'flow')
                  from flowbuilder.plans p, json_array_elements(p.document -> 'children') c
                  where p.id = p_plan and json_typeof(p.document -> 'children') = 'array'),
        'marks', (select json_agg(m.mark) from flowbuilder.run_marks m where m.run_id = p_run))
$$;
