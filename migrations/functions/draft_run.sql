-- What new runs of one version have in common, in the columns that the start writes. `p_terms` as in
-- start_runs.sql; a child's are its parent's. `p_first`: the id of the first one.
create or replace function flowbuilder.draft_run(
    v flowbuilder.flow_versions, p_terms jsonb, p_parent flowbuilder.tasks, p_plan uuid, p_actor text,
    p_now timestamptz, p_deadline_seconds double precision, p_first uuid
) returns flowbuilder.runs
language plpgsql stable set search_path = ''
as $$
declare
    u flowbuilder.runs;
    r flowbuilder.runs := jsonb_populate_record(null::flowbuilder.runs, '{"priority": 0, "depth": 0,
        "max_elements": 100000, "max_tasks": 200000, "max_open_runs": 100000, "holds": 0}' || p_terms);
begin
    r.deadline_at := p_now + make_interval(secs => p_deadline_seconds);
    if p_parent.id is not null then
        select * into u from flowbuilder.runs where id = p_parent.run_id;
        r.priority := u.priority;
        r.max_elements := u.max_elements;
        r.max_tasks := u.max_tasks;
        r.max_open_runs := u.max_open_runs;
        r.depth := u.depth + 1;
        r.holds := 0;
        r.replanning := null;
        r.deadline_at := least(r.deadline_at, u.deadline_at);
        r.parent_run_id := u.id;
        r.parent_task_id := p_parent.id;
    end if;
    r.workspace_id := v.workspace_id;
    r.version_id := v.id;
    r.flow := v.slug;
    r.version := v.version;
    r.remaining_steps := v.step_count;
    r.plan_id := p_plan;
    r.actor := p_actor;
    r.created_at := p_now;
    r.watched := flowbuilder.is_watched(p_first, r.deadline_at - p_now);
    return r;
end
$$;
