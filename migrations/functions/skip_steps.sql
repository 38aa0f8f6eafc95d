-- pending or running → skipped, with the reason and an event for each step.
create or replace function flowbuilder.skip_steps(
    p_places flowbuilder.place[], p_reason text, p_error jsonb
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_events flowbuilder.event_draft[];
begin
    perform flowbuilder.begin_runs(array(select distinct p.run_id from unnest(p_places) p));
    with gone as (
        update flowbuilder.run_steps s
        set status = 'skipped', skip_reason = p_reason, error = p_error,
            finished_at = flowbuilder.now()
        from unnest(p_places) p
        where s.run_id = p.run_id and s.position = p.position
          and s.status in ('pending', 'running')
        returning s.run_id, s.position, s.step_id
    )
    select array_agg((g.run_id, 'task_skipped', g.step_id, t.id, nullif(t.attempt, 0),
        json_build_object('task_id', t.id, 'workflow_id', g.run_id, 'step_name', g.step_id,
                           'reason', p_reason, 'error', p_error))::flowbuilder.event_draft
        order by g.run_id, g.position)
    into v_events
    from gone g
    left join flowbuilder.tasks t
      on t.run_id = g.run_id and t.position = g.position and t.element = -1;
    if v_events is not null then
        perform flowbuilder.append_events(v_events);
    end if;
end
$$;
