-- Delete the given (ended and locked) runs with all their rows. Graphs that were not saved are
-- looked at by prune_versions after that.
create or replace function flowbuilder.drop_runs(p_runs uuid[]) returns void
language plpgsql set search_path = ''
as $$
begin
    delete from flowbuilder.events e where e.stream = any (p_runs);
    delete from flowbuilder.approvals a where a.run_id = any (p_runs);
    delete from flowbuilder.tasks t where t.run_id = any (p_runs);
    delete from flowbuilder.run_steps s where s.run_id = any (p_runs);
    with gone as (
        delete from flowbuilder.runs r where r.id = any (p_runs)
        returning r.version_id, r.version
    )
    update flowbuilder.flow_versions v set registered_at = '-infinity'
    from (select distinct g.version_id from gone g where g.version is null) g
    where v.id = g.version_id and v.registered_at is null;
end
$$;
