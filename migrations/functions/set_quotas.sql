-- Say what a workspace may use; null: as much as it likes. The whole of it, in the place of what was.
create or replace function flowbuilder.set_quotas(
    p_workspace uuid, p_stored_bytes bigint, p_events_kept bigint, p_runs_per_day integer,
    p_plans_per_hour integer, p_actor text
) returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.gates as g (workspace_id, stored_bytes, events_kept, runs_per_day,
        plans_per_hour, quotas_at, quotas_by)
    values (p_workspace, p_stored_bytes, p_events_kept, p_runs_per_day, p_plans_per_hour,
        flowbuilder.now(), p_actor)
    on conflict (workspace_id) do update
    set stored_bytes = excluded.stored_bytes, events_kept = excluded.events_kept,
        runs_per_day = excluded.runs_per_day, plans_per_hour = excluded.plans_per_hour,
        quotas_at = excluded.quotas_at, quotas_by = excluded.quotas_by
$$;
