-- Runs that have ended count no more. That there may be room is told through the outbox, also when
-- nobody seems to wait: who is just told to wait may have counted these runs still.
create or replace function flowbuilder.leave_gate(p_runs uuid[]) returns void
language sql set search_path = ''
as $$
    with gone as (
        delete from flowbuilder.admissions a where a.run_id = any (p_runs)
        returning a.run_id, a.workspace_id, a.state
    )
    insert into flowbuilder.outbox (kind, run_id, payload, created_at)
    select distinct on (g.workspace_id) 'admit_runs', g.run_id,
        json_build_object('workspace_id', g.workspace_id), flowbuilder.now()
    from gone g
    where g.state = 'admitted' and exists (
        select from flowbuilder.gates o where o.workspace_id = g.workspace_id)
$$;
