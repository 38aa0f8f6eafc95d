-- Fail the given (locked) runs, which are over their budget, unless they have failed meanwhile; what
-- was halted goes on to undo what it has done. With `p_tell` the open ones of their family hear of it
-- through the outbox.
create or replace function flowbuilder.stop_over_budget(p_runs uuid[], p_tell boolean)
returns void
language plpgsql set search_path = ''
as $$
declare
    v_run record;
begin
    update flowbuilder.runs r set status = 'running'
    from flowbuilder.run_budgets b
    where r.id = any (p_runs) and b.run_id = r.id and b.halted and r.status = 'paused';
    update flowbuilder.run_budgets b set halted = false
    where b.run_id = any (p_runs) and b.halted;
    if p_tell then
        insert into flowbuilder.outbox (kind, run_id, payload, created_at)
        select 'over_budget', r.id, '{}', flowbuilder.now() from flowbuilder.runs r
        where r.id = any (array(
                  select m.run_id from flowbuilder.run_budgets b
                  join flowbuilder.run_budgets m on m.root_id = b.root_id and m.open
                  where b.run_id = any (p_runs)))
          and r.id <> all (p_runs) and (r.finished_at is null) is true;
    end if;
    for v_run in
        select r.id, b.breach from flowbuilder.runs r
        join flowbuilder.run_budgets b on b.run_id = r.id
        where r.id = any (p_runs) and r.finished_at is null and r.failure is null order by r.id
    loop
        perform flowbuilder.end_run(v_run.id, 'failed', null, v_run.breach);
    end loop;
end
$$;
