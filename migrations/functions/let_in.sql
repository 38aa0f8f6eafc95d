-- Begin (locked) runs all of whose steps are pending, in the given order: what depends on nothing
-- starts. One that retries another run has steps whose results it takes over: their events come first,
-- in the order in which they ended, so that nothing seems to start before what it depends on.
create or replace function flowbuilder.let_in(p_runs uuid[]) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_reused flowbuilder.place[];
    v_ready  flowbuilder.place[];
    v_mapped flowbuilder.place[];
    v_events flowbuilder.event_draft[];
begin
    select array_agg((s.run_id, s.position)::flowbuilder.place order by s.position),
           array_agg((s.run_id, 'task_' || s.status, s.step_id, null, null, case s.status
               when 'completed' then json_build_object('result', s.output, 'duration_ms', 0,
                   'reused_from', r.retry_of)
               else json_build_object('reason', s.skip_reason, 'error', s.error,
                   'reused_from', r.retry_of) end)::flowbuilder.event_draft
               order by s.finished_at, s.position)
    into v_reused, v_events
    from flowbuilder.runs r
    join flowbuilder.run_steps s on s.run_id = r.id and s.finished_at is not null
    where r.id = any (p_runs) and (r.retry_of is not null) is true;
    if v_events is not null then
        perform flowbuilder.begin_runs(array(
            select distinct u.run_id from unnest(v_reused) u));
        perform flowbuilder.append_events(v_events);
    end if;
    with begun as (
        update flowbuilder.run_steps s
        set status = 'running', started_at = v_now, task_count = 1, remaining_tasks = 1
        from flowbuilder.version_steps v
        where s.run_id = any (p_runs) and v.id = s.node_id and s.status = 'pending'
          and v.depends_on = '{}' and (v.for_each is null or v.has_when)
        returning s.run_id, s.position
    )
    select array_agg((b.run_id, b.position)::flowbuilder.place
                     order by array_position(p_runs, b.run_id), b.position)
    into v_ready from begun b;
    if v_ready is not null then
        perform flowbuilder.start_tasks(v_ready, v_now, null, null, 0, null);
    end if;
    select array_agg((s.run_id, s.position)::flowbuilder.place
                     order by array_position(p_runs, s.run_id), s.position)
    into v_mapped
    from flowbuilder.run_steps s
    where s.run_id = any (p_runs) and s.status = 'pending' and s.remaining_deps = 0;
    if v_mapped is not null or v_reused is not null then
        perform flowbuilder.settle(v_mapped, null, v_reused);
    end if;
end
$$;
