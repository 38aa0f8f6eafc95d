-- Add a step to a run that has not ended; `p_base` is the version that the caller has looked at. The
-- step starts, waits or is skipped by what the steps that it depends on have come to by now. A
-- finishing task that is under way is taken back: the run goes on.
create or replace function flowbuilder.grow_run(
    p_workspace uuid, p_run uuid, p_base uuid, p_document json, p_hash text, p_rows json,
    p_owner uuid, p_actor text
) returns setof flowbuilder.flow_versions
language plpgsql set search_path = ''
as $$
declare
    v_run     flowbuilder.runs;
    v_version flowbuilder.flow_versions;
    v_node    flowbuilder.version_steps;
    v_now     timestamptz;
    v_open    integer;
    v_good    integer;
    v_verdict text;
    v_waits   boolean;  -- to be let in: nothing begins
    v_place   flowbuilder.place := (p_run, (p_rows -> 0 ->> 'position')::integer);
begin
    v_run := flowbuilder.open_run(p_workspace, p_run, 'add a step to');
    if v_run.version_id <> p_base then
        perform flowbuilder.refuse('conflict', 'run_changed', 'the run has grown meanwhile');
    end if;
    v_now := flowbuilder.now();
    v_waits := flowbuilder.is_waiting(p_run);
    if not v_waits then
        perform flowbuilder.begin_runs(array[p_run]);
    end if;
    perform flowbuilder.withdraw_finish(p_run);
    v_version := flowbuilder.grow_version(v_run, p_document, p_hash, p_rows, p_owner);
    select * into v_node from flowbuilder.version_steps
    where version_id = v_version.id and position = v_place.position;
    select count(*) filter (where s.finished_at is null or s.status = 'failed'),  -- is replaced
           count(*) filter (where s.status = 'completed') into v_open, v_good
    from flowbuilder.run_steps s where s.run_id = p_run and s.position = any (v_node.depends_on);
    v_verdict := flowbuilder.step_verdict(v_node, v_open, v_good);
    if v_waits then
        v_verdict := null;
        v_open := cardinality(v_node.depends_on);
        v_good := 0;
    elsif v_verdict = 'starts' and v_node.for_each is not null and not v_node.has_when then
        v_verdict := 'opens';
    end if;
    insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status, remaining_deps,
        succeeded_deps, task_count, remaining_tasks, started_at)
    select p_run, v_place.position, v_node.step_id, v_node.id,
        case when k.starts then 'running' else 'pending' end, v_open, v_good,
        case when k.starts then 1 end, case when k.starts then 1 end,
        case when k.starts then v_now end
    from (select (v_verdict = 'starts') is true as starts) k;
    perform flowbuilder.append_events(array[(p_run, 'step_added', v_node.step_id, null, null,
        json_build_object('workflow_id', p_run, 'step_name', v_node.step_id,
            'step', p_document -> 'steps' -> -1, 'version_id', v_version.id)
        )::flowbuilder.event_draft], p_actor);
    if v_verdict = 'starts' then
        perform flowbuilder.start_tasks(array[v_place], v_now, null, null, 0, null);
    elsif v_verdict = 'opens' then
        perform flowbuilder.settle(array[v_place], null, null);
    elsif v_verdict = 'barred' then
        perform flowbuilder.settle(null, array[v_place], null);
    end if;
    return next v_version;
end
$$;
