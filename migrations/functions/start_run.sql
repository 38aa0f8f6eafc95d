-- Start a run of a version. The same idempotency key gives the same run; with another flow or
-- input it is refused. Published versions of one flow are the same flow, whatever is its head by
-- now, unless the caller wants exactly this version.
create or replace function flowbuilder.start_run(
    p_workspace uuid, p_version uuid, p_input json, p_key text, p_deadline_seconds double precision,
    p_plan uuid default null, p_actor text default null, p_exact boolean default false,
    p_parent flowbuilder.tasks default null
) returns table (run_id uuid, created boolean)
language plpgsql set search_path = ''
as $$
declare
    v_version flowbuilder.flow_versions;
    v_other   flowbuilder.runs;
    v_parent  flowbuilder.runs;
    v_now     timestamptz := flowbuilder.now();
    v_run     uuid;
begin
    select * into v_version from flowbuilder.flow_versions
    where id = p_version and workspace_id = p_workspace;
    if not found then
        perform flowbuilder.refuse('not_found', 'version_not_found', 'there is no such version');
    end if;
    if p_parent.id is not null then
        select * into v_parent from flowbuilder.runs where id = p_parent.run_id;
    end if;
    insert into flowbuilder.runs as r (workspace_id, version_id, flow, version, status, input,
        remaining_steps, depth, idempotency_key, parent_run_id, parent_task_id, plan_id, actor,
        created_at, deadline_at)
    values (p_workspace, p_version, v_version.slug, v_version.version, 'queued',
        flowbuilder.checked(p_input), v_version.step_count, coalesce(v_parent.depth + 1, 0), p_key,
        v_parent.id, p_parent.id, p_plan, p_actor, v_now,
        least(v_now + make_interval(secs => p_deadline_seconds), v_parent.deadline_at))
    on conflict (workspace_id, idempotency_key) where idempotency_key is not null do nothing
    returning r.id into v_run;
    if v_run is null then
        select * into v_other from flowbuilder.runs r
        where r.workspace_id = p_workspace and r.idempotency_key = p_key;
        if v_other.version_id <> p_version and (
               p_exact or v_other.version is null or v_version.version is null
               or v_other.flow <> v_version.slug)
           or v_other.input::jsonb <> p_input::jsonb then
            perform flowbuilder.refuse('conflict', 'idempotency_mismatch',
                'this idempotency key was used for another flow or input',
                jsonb_build_object('run_id', v_other.id));
        end if;
        return query select v_other.id, false;
        return;
    end if;
    insert into flowbuilder.run_steps (run_id, position, step_id, status, remaining_deps)
    select v_run, s.position, s.step_id, 'pending', cardinality(s.depends_on)
    from flowbuilder.version_steps s where s.version_id = p_version;
    perform flowbuilder.settle(
        (select array_agg((v_run, s.position)::flowbuilder.place order by s.position)
         from flowbuilder.version_steps s
         where s.version_id = p_version and cardinality(s.depends_on) = 0),
        '{}');
    return query select v_run, true;
end
$$;
