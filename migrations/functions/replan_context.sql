-- What a re-planner has to know of a run: {goal, input, version, steps: [{id, status, tool, place,
-- error}], undoing: {step: tool}, tried: {step: [tool]}, error}. Outputs are left out: no planner sees
-- them. Null when the re-plan is not this owner's any more.
create or replace function flowbuilder.replan_context(
    p_workspace uuid, p_run uuid, p_number integer, p_owner text
) returns json
language sql stable set search_path = ''
as $$
    select json_build_object(
        'goal', p.goal, 'input', r.input, 'error', a.error, 'version_id', v.id,
        'document', v.document, 'places', v.places,
        'steps', (
            select json_agg(json_build_object('id', s.step_id, 'status', s.status, 'tool', n.tool,
                'place', s.position, 'error', s.error) order by s.position)
            from flowbuilder.run_steps s
            join flowbuilder.version_steps n on n.version_id = v.id and n.position = s.position
            where s.run_id = r.id),
        'undoing', (
            select coalesce(json_object_agg(n.step_id, n.tool), '{}')
            from flowbuilder.version_steps n where n.version_id = v.id and n.position < 0),
        'tried', (
            select coalesce(json_object_agg(t.step_id, t.tools), '{}')
            from (select t.step_id, json_agg(distinct t.tool) as tools from flowbuilder.tasks t
                  where t.run_id = r.id and t.status = 'failed' and t.kind = 'step'
                  group by t.step_id) t))
    from flowbuilder.replans a
    join flowbuilder.runs r on r.id = a.run_id and r.workspace_id = p_workspace
    join flowbuilder.flow_versions v on v.id = r.version_id
    left join flowbuilder.plans p on p.id = r.plan_id
    where a.run_id = p_run and a.number = p_number and a.owner = p_owner and a.status = 'open'
$$;
