-- Make the run that retries another one, whose lock the caller holds: steps at the positions `p_again`
-- run, the others are taken over with result, error and times. Their events come first, in the order
-- in which they ended, so that nothing seems to start before what it depends on.
create or replace function flowbuilder.open_retry(
    p_old flowbuilder.runs, p_again integer[], p_from text, p_limit interval,
    p_actor text, p_key text
) returns uuid
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_new    uuid := (flowbuilder.new_ids(1, flowbuilder.now()))[1];
    v_reused flowbuilder.place[];
    v_ready  flowbuilder.place[];
    v_mapped flowbuilder.place[];
    v_events flowbuilder.event_draft[];
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
    with born as (
        insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status,
            remaining_deps, task_count, remaining_tasks, output, error, skip_reason, started_at,
            finished_at)
        select v_new, s.position, s.step_id, s.node_id,
            case when k.reused then s.status when k.starts then 'running' else 'pending' end,
            cardinality(v.depends_on),
            case when k.reused then 0 when k.starts then 1 end,
            case when k.reused then 0 when k.starts then 1 end,
            case when k.reused then s.output end, case when k.reused then s.error end,
            case when k.reused then s.skip_reason end,
            case when k.reused then s.started_at when k.starts then v_now end,
            case when k.reused then s.finished_at end
        from flowbuilder.run_steps s
        join flowbuilder.version_steps v on v.id = s.node_id
        cross join lateral (select s.position <> all (p_again) as reused,
            v.depends_on = '{}' and (v.for_each is null or v.has_when) as starts) k
        where s.run_id = p_old.id order by s.position
        returning *
    )
    select array_agg((v_new, b.position)::flowbuilder.place order by b.position)
               filter (where b.finished_at is not null),
           array_agg((v_new, b.position)::flowbuilder.place order by b.position)
               filter (where b.status = 'running'),
           array_agg((v_new, b.position)::flowbuilder.place order by b.position)
               filter (where b.status = 'pending' and b.remaining_deps = 0),
           array_agg((v_new, 'task_' || b.status, b.step_id, null, null, case b.status
               when 'completed' then json_build_object('result', b.output, 'duration_ms', 0,
                   'reused_from', p_old.id)
               else json_build_object('reason', b.skip_reason, 'error', b.error,
                   'reused_from', p_old.id) end)::flowbuilder.event_draft
               order by b.finished_at, b.position) filter (where b.finished_at is not null)
    into v_reused, v_ready, v_mapped, v_events from born b;
    if v_events is not null then
        perform flowbuilder.begin_runs(array[v_new]);
        perform flowbuilder.append_events(v_events);
    end if;
    if v_ready is not null then
        perform flowbuilder.start_tasks(v_ready, v_now, null, null, 0, null);
    end if;
    perform flowbuilder.settle(v_mapped, null, v_reused);
    return v_new;
end
$$;
