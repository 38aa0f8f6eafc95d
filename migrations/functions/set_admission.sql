-- Limit the runs of a workspace (`p_flow` '') or of one flow in it, in the place of the limit before.
-- What is under way goes on and counts; a new rate begins with a bucket that is empty.
create or replace function flowbuilder.set_admission(
    p_workspace uuid, p_flow text, p_concurrency integer, p_rate_count integer,
    p_rate_seconds double precision, p_actor text
) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_now timestamptz := flowbuilder.now();
begin
    insert into flowbuilder.gates (workspace_id) values (p_workspace)
    on conflict (workspace_id) do nothing;
    update flowbuilder.gates g set unsettled = pg_current_xact_id()
    where g.workspace_id = p_workspace;
    insert into flowbuilder.admission_limits as l (workspace_id, flow, concurrency, rate_count,
        rate_seconds, at, updated_at, updated_by)
    values (p_workspace, p_flow, p_concurrency, p_rate_count, p_rate_seconds, v_now, v_now, p_actor)
    on conflict (workspace_id, flow) do update
    set concurrency = excluded.concurrency, rate_count = excluded.rate_count,
        rate_seconds = excluded.rate_seconds, updated_at = excluded.updated_at,
        updated_by = excluded.updated_by,
        level = case when l.rate_count = excluded.rate_count
                      and l.rate_seconds = excluded.rate_seconds then l.level else 0 end,
        at = case when l.rate_count = excluded.rate_count
                   and l.rate_seconds = excluded.rate_seconds then l.at else v_now end;
    return flowbuilder.admit_runs(p_workspace);
end
$$;
