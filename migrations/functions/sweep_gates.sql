-- The upkeep of gates: look at those that are due, forget runs that have ended unseen, and let in what
-- may start. Returns the runs let in.
create or replace function flowbuilder.sweep_gates(p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_workspace uuid;
    v_runs      uuid[] := '{}';
begin
    for v_workspace in
        select g.workspace_id from flowbuilder.gates g
        where g.wake_at <= flowbuilder.now()
        order by g.wake_at limit 10 for update skip locked
    loop
        delete from flowbuilder.admissions a
        where a.workspace_id = v_workspace and a.state = 'admitted' and not exists (
            select from flowbuilder.runs r
            where r.id = a.run_id and (r.finished_at is null) is true);
        v_runs := v_runs || flowbuilder.admit_runs(v_workspace, p_limit);
    end loop;
    if exists (select from flowbuilder.worker_holds) then
        delete from flowbuilder.worker_holds h where not exists (
            select from flowbuilder.workers w where w.id = h.worker_id and w.status = 'live');
    end if;
    return v_runs;
end
$$;
