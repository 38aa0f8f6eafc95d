-- Write new runs that wait for their beginning, one for each input. `r`: what they have in common (see
-- draft_run.sql). Returns the ids of those whose idempotency key was not used before.
create or replace function flowbuilder.add_runs(
    p_runs uuid[], p_inputs json[], p_keys text[], r flowbuilder.runs
) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_made uuid[];
begin
    with made as (
        insert into flowbuilder.runs (id, workspace_id, version_id, flow, version, status, input,
            remaining_steps, depth, idempotency_key, priority, max_elements, max_tasks,
            max_open_runs, parent_run_id, parent_task_id, plan_id, actor, created_at, deadline_at,
            holds, watched, replanning)
        select g.id, r.workspace_id, r.version_id, r.flow, r.version, 'queued',
            flowbuilder.checked(g.input), r.remaining_steps, r.depth, g.key, r.priority,
            r.max_elements, r.max_tasks, r.max_open_runs, r.parent_run_id, r.parent_task_id,
            r.plan_id, r.actor, r.created_at, r.deadline_at, r.holds, r.watched, r.replanning
        from unnest(p_runs, p_inputs, p_keys) with ordinality as g (id, input, key, place)
        order by g.place
        on conflict (workspace_id, idempotency_key) where idempotency_key is not null do nothing
        returning id
    )
    select array_agg(m.id) into v_made from made m;
    return v_made;
end
$$;
