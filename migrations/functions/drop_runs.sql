-- Delete the given (ended and locked) runs with all their rows. Graphs that were not saved are
-- looked at by prune_versions after that; versions that a run has made go with it, unless a retry of
-- it uses them: then they are that run's.
create or replace function flowbuilder.drop_runs(p_runs uuid[]) returns void
language plpgsql set search_path = ''
as $$
begin
    delete from flowbuilder.events e where e.stream = any (p_runs);
    delete from flowbuilder.approvals a where a.run_id = any (p_runs);
    delete from flowbuilder.tasks t where t.run_id = any (p_runs);
    delete from flowbuilder.run_marks m where m.run_id = any (p_runs);
    delete from flowbuilder.run_steps s where s.run_id = any (p_runs);
    delete from flowbuilder.spendings s where s.run_id = any (p_runs);
    delete from flowbuilder.replans p where p.run_id = any (p_runs);
    delete from flowbuilder.observed_runs o where o.run_id = any (p_runs);
    delete from flowbuilder.run_triggers t where t.run_id = any (p_runs);
    with gone as (
        delete from flowbuilder.runs r where r.id = any (p_runs)
        returning coalesce(r.grown_from, r.version_id) as version_id, r.version
    )
    update flowbuilder.flow_versions v set registered_at = '-infinity'
    from (select distinct g.version_id from gone g where g.version is null) g
    where v.id = g.version_id and v.registered_at is null;
    update flowbuilder.flow_versions v set run_id = h.run_id
    from (select o.version_id, max(o.id::text)::uuid as run_id from flowbuilder.runs o
          where o.grown_from is not null and o.retry_of is not null and o.version_id = any (array(
              select f.id from flowbuilder.flow_versions f where f.run_id = any (p_runs)))
          group by o.version_id) h
    where v.id = h.version_id;
    delete from flowbuilder.flow_versions v where v.run_id = any (p_runs);
    delete from flowbuilder.run_budgets b  -- all of a family together: its sums are one
    where b.root_id = any (array(select o.root_id from flowbuilder.run_budgets o
                                 where o.run_id = any (p_runs)))
      and not exists (select from flowbuilder.run_budgets m
                      join flowbuilder.runs r on r.id = m.run_id where m.root_id = b.root_id);
end
$$;
