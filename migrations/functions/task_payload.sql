-- Everything a worker needs to run a task, but for the definition of its step, which it keeps; see
-- lease_payload.sql, and executor/rows.py, which reads it. Neither strict nor with settings of its own,
-- so that the planner puts the expression in the place of the call.
create or replace function flowbuilder.task_payload(
    t flowbuilder.tasks, r flowbuilder.runs, p_input boolean, p_outputs json, p_skipped json,
    p_guard json, p_budget json
) returns json
language sql stable
as $$
    select json_build_object(
        'task_id', t.id, 'fence', t.fence, 'run_id', t.run_id, 'kind', t.kind,
        'workspace', r.workspace_id,
        'step_id', t.step_id, 'node_id', t.node_id, 'version_id', r.version_id,
        'index', nullif(t.element, -1), 'item', t.item, 'attempt', t.attempt, 'claims', t.claims,
        'args', t.args, 'approved', t.approved, 'flow', r.flow, 'version', r.version,
        'started_at', r.started_at, 'guard', p_guard, 'input', case when p_input then r.input end,
        'outputs', p_outputs, 'skipped', p_skipped, 'budget', p_budget)
$$;
