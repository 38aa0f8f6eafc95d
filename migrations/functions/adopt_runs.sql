-- Count the open runs of a workspace that were started before there was a limit. Starts that are not
-- committed yet have not seen it either, so this goes on until all transactions have ended that were
-- under way when the limit was set (`p_since`).
create or replace function flowbuilder.adopt_runs(p_workspace uuid, p_since xid8) returns void
language plpgsql set search_path = ''
as $$
declare
    v_last boolean := p_since < pg_snapshot_xmin(pg_current_snapshot());
begin
    insert into flowbuilder.admissions (run_id, workspace_id, flow, priority, since, state)
    select r.id, r.workspace_id, r.flow, r.priority, r.created_at, 'admitted'
    from flowbuilder.open_run_ids(p_workspace) o (id)
    join flowbuilder.runs r on r.id = o.id and r.parent_run_id is null
    on conflict (run_id) do nothing;
    if v_last then
        update flowbuilder.gates g set unsettled = null where g.workspace_id = p_workspace;
    end if;
end
$$;
