-- Start runs of one version, one for each input; `p_keys` are their idempotency keys. A key that was
-- used gives the run that it started; with another flow or input it is refused. Published versions of
-- one flow are the same flow, unless the caller wants exactly this one. `p_draft_at`: when the caller
-- read that the version is what the draft says, refused when it is not so any more. `p_terms`:
-- {priority, max_elements, max_tasks, max_open_runs}, which a child has from its parent, `replanning`,
-- for start_held_run `holds`, and `budget` (grant_budgets.sql); then nothing is leased at once, else
-- up to `p_free` of the first tasks to `p_worker`. Answers
-- `{runs: [[id, created], …] in the order of the inputs, at, deadline_at, tasks, queued}`.
create or replace function flowbuilder.start_runs(
    p_workspace uuid, p_version uuid, p_inputs json[], p_keys text[],
    p_deadline_seconds double precision, p_plan uuid default null, p_actor text default null,
    p_exact boolean default false, p_parent flowbuilder.tasks default null,
    p_worker uuid default null, p_free integer default 0,
    p_lease_seconds double precision default 0, p_draft_at timestamptz default null,
    p_terms jsonb default '{}'
) returns json
language plpgsql
set search_path = '' set enable_seqscan = off set enable_mergejoin = off
set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    v_number   xid8 := pg_current_xact_id();  -- before the time is read: see watch_runs.sql
    v_now      timestamptz := flowbuilder.now();
    v_version  flowbuilder.flow_versions := flowbuilder.startable_version(
        p_workspace, p_version, p_draft_at);
    v_tools    text[] := case when p_free > 0 then flowbuilder.greet_worker(p_worker) end;
    v_runs     uuid[] := flowbuilder.new_ids(cardinality(p_inputs), v_now);
    v_gated    boolean := case when p_parent.id is null
                            then flowbuilder.is_gated(p_workspace, v_version.slug) end;
    v_lease    interval := make_interval(secs => p_lease_seconds);
    r          flowbuilder.runs;
    v_made     uuid[];
    v_all      boolean;
    v_begun    json;
    v_leased   bigint[];
begin
    r := flowbuilder.draft_run(
        v_version, p_terms, p_parent, p_plan, p_actor, v_now, p_deadline_seconds, v_runs[1]);
    if v_tools is not null and cardinality(v_runs) = 1 and v_gated is null
       and p_parent.id is null and not p_terms ? 'budget' then
        r.id := v_runs[1];
        r.input := p_inputs[1];
        r.idempotency_key := p_keys[1];
        v_begun := flowbuilder.start_at_once(r, p_worker, v_tools, v_lease);
    end if;
    v_made := case when v_begun is not null then v_runs
              else flowbuilder.add_runs(v_runs, p_inputs, p_keys, r) end;
    v_all := coalesce(cardinality(v_made), 0) = cardinality(v_runs);
    if not v_all then
        v_runs := flowbuilder.runs_of_keys(v_version, v_runs, p_inputs, p_keys, p_exact);
    end if;
    if v_made is not null then
        if p_parent.id is null then
            perform flowbuilder.require_active_workspace(p_workspace);
        end if;
        if p_terms ? 'budget' then
            perform flowbuilder.grant_budgets(v_made, p_terms -> 'budget');
            p_free := 0;  -- starts are counted where work is claimed
        end if;
        perform flowbuilder.bound_open_runs(p_workspace, cardinality(v_made), r.max_open_runs);
        if v_gated is not null then
            perform flowbuilder.pass_gate(p_workspace, p_version, v_made, v_gated);
        end if;
        if v_begun is null and v_gated is not true then
            v_leased := flowbuilder.open_runs(
                p_version, v_made, v_now, p_worker, v_tools, p_free, v_lease);
        end if;
    end if;
    return json_build_object(
        'runs', (select json_agg(json_build_array(g.id, v_all or coalesce(g.id = any (v_made), false))
                                 order by g.place)
                 from unnest(v_runs) with ordinality as g (id, place)),
        'at', v_now, 'deadline_at', r.deadline_at,
        'tasks', coalesce(v_begun, flowbuilder.lease_payload(v_leased)),
        'queued', v_begun is null and flowbuilder.is_queued(flowbuilder.now()));
end
$$;
