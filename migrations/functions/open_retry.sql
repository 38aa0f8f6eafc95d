-- Make the run that retries another one, whose lock the caller holds: steps at the positions `p_again`
-- run, the others are taken over with result, error and times.
create or replace function flowbuilder.open_retry(
    p_old flowbuilder.runs, p_again integer[], p_from text, p_limit interval,
    p_actor text, p_key text
) returns uuid
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_new    uuid := (flowbuilder.new_ids(1, flowbuilder.now()))[1];
    v_gated  boolean := flowbuilder.is_gated(p_old.workspace_id, p_old.flow);
begin
    insert into flowbuilder.runs (id, workspace_id, version_id, flow, version, status, input,
        remaining_steps, idempotency_key, priority, max_elements, max_tasks, max_open_runs,
        plan_id, retry_of, retry_from, actor, created_at, deadline_at, grown_from, watched,
        replanning)
    select v_new, p_old.workspace_id, v.id, p_old.flow, p_old.version, 'queued', p_old.input,
        v.step_count, p_key, p_old.priority, p_old.max_elements, p_old.max_tasks,
        p_old.max_open_runs, p_old.plan_id, p_old.id, p_from, p_actor, v_now, v_now + p_limit,
        p_old.grown_from, flowbuilder.is_watched(v_new, p_limit), p_old.replanning
    from flowbuilder.flow_versions v where v.id = p_old.version_id
    on conflict (workspace_id, idempotency_key) where idempotency_key is not null do nothing;
    if not found then
        perform flowbuilder.refuse('conflict', 'idempotency_mismatch',
            'this idempotency key was used for something else');
    end if;
    insert into flowbuilder.run_marks (run_id, mark)
    select v_new, m.mark from flowbuilder.run_marks m where m.run_id = p_old.id;
    perform flowbuilder.bound_open_runs(p_old.workspace_id, 1, p_old.max_open_runs);
    insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status, remaining_deps,
        task_count, remaining_tasks, output, error, skip_reason, started_at, finished_at)
    select v_new, s.position, s.step_id, s.node_id,
        case when k.reused then s.status else 'pending' end, cardinality(v.depends_on),
        case when k.reused then 0 end, case when k.reused then 0 end,
        case when k.reused then s.output end, case when k.reused then s.error end,
        case when k.reused then s.skip_reason end, case when k.reused then s.started_at end,
        case when k.reused then s.finished_at end
    from flowbuilder.run_steps s
    join flowbuilder.version_steps v on v.id = s.node_id
    cross join lateral (select s.position <> all (p_again) as reused) k
    where s.run_id = p_old.id order by s.position;
    if v_gated is not null then
        perform flowbuilder.check_stored(p_old.workspace_id);
        perform flowbuilder.use_quota(p_old.workspace_id, 'runs_per_day', 1);
    end if;
    if v_gated then
        perform flowbuilder.keep_back(array[v_new]);
        perform flowbuilder.admit_runs(p_old.workspace_id);
    else
        perform flowbuilder.let_in(array[v_new]);
    end if;
    return v_new;
end
$$;
