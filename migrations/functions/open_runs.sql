-- Make the steps of new runs of one version and start those that depend on nothing. Up to `p_free`
-- of the first tasks are leased to the given worker, and returned; the others are queued.
create or replace function flowbuilder.open_runs(
    p_version uuid, p_runs uuid[], p_now timestamptz, p_worker uuid, p_tools text[],
    p_free integer, p_lease interval
) returns bigint[]
language plpgsql set search_path = ''
as $$
declare
    v_ready  flowbuilder.place[];
    v_mapped flowbuilder.place[];
    v_leased bigint[];
    v_events flowbuilder.event_draft[];
begin
    with born as (
        insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status,
            remaining_deps, task_count, remaining_tasks, started_at)
        select r.id, s.position, s.step_id, s.id,
            case when s.starts then 'running' else 'pending' end, cardinality(s.depends_on),
            case when s.starts then 1 end, case when s.starts then 1 end,
            case when s.starts then p_now end
        from unnest(p_runs) with ordinality as r (id, place)
        cross join (
            select v.*, v.depends_on = '{}' and (v.for_each is null or v.has_when) as starts
            from flowbuilder.version_steps v
            where v.version_id = p_version and v.position >= 0 order by v.position) s
        order by r.place, s.position
        returning run_id, position, status, remaining_deps
    )
    select array_agg((b.run_id, b.position)::flowbuilder.place) filter (where b.status = 'running'),
           array_agg((b.run_id, b.position)::flowbuilder.place)
               filter (where b.status = 'pending' and b.remaining_deps = 0)
    into v_ready, v_mapped from born b;
    if v_ready is not null then
        select * into v_leased, v_events from flowbuilder.start_tasks(
            v_ready, p_now, p_worker, flowbuilder.unlimited_tools(p_tools), p_free, p_lease,
            case when p_free > 0 then flowbuilder.queue_head(p_worker, p_tools, p_now) end);
    end if;
    if v_leased is not null then
        insert into flowbuilder.leases (worker_id, until, tasks)
        values (p_worker, p_now + p_lease, v_leased);
    end if;
    if v_events is not null then
        perform flowbuilder.record_turn(v_events, null, p_now);
    end if;
    if v_mapped is not null then
        perform flowbuilder.settle(v_mapped, null, null);
    end if;
    return v_leased;
end
$$;
