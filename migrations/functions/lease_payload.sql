-- What a worker needs to run the given tasks (task_payload.sql): the run, and the outputs that the step
-- refers to. A step without an output of its own (skipped, forgiven, or not ended when `one_success` did
-- not wait for it) is named in `skipped`: paths into it give null. `budget` is what is left of that of
-- its run, if it has one; what policy needs to know (`guard`) is looked up only where there is a policy or
-- a plan. A task that has ended meanwhile is left out.
-- `is true` keeps the planner off the index of what is running, which it would read whole.
create or replace function flowbuilder.lease_payload(p_tasks bigint[]) returns json
language plpgsql stable set search_path = ''
as $$
declare
    v_budgets boolean := p_tasks is not null and flowbuilder.has_budgets();
    v_guarded boolean;
begin
    if p_tasks is null then
        return null;
    end if;
    v_guarded := flowbuilder.is_guarded();
    return (select json_agg(flowbuilder.task_payload(
        t, r, coalesce(v.needs_input, (f.output ->> 'needs_input')::boolean), o.outputs, o.skipped,
        case when v_guarded or r.plan_id is not null
            then flowbuilder.task_guard(r.id, r.workspace_id, r.plan_id) end,
        case when v_budgets then flowbuilder.budget_left(t.run_id) end) order by t.id)
    from flowbuilder.tasks t
    join flowbuilder.runs r on r.id = t.run_id
    left join flowbuilder.version_steps v on v.id = t.node_id
    left join flowbuilder.flow_versions f on f.id = r.version_id and t.kind = 'finish'
    left join lateral (
        select json_object_agg(s.step_id, s.output order by s.position) as outputs,
               json_agg(s.step_id)
                   filter (where s.status <> 'completed' or s.error is not null) as skipped
        from flowbuilder.run_steps s
        where s.run_id = t.run_id and s.position = any (coalesce(v.refs,
            array(select json_array_elements_text(f.output -> 'refs')::integer)))
    ) o on v.refs <> '{}' or t.kind = 'finish'
    where t.id = any (p_tasks) and (t.status = 'running') is true);
end
$$;
