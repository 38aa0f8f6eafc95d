-- Those of the given (locked) runs that are over their budget, and are not being undone yet: each
-- remembers why, and is halted until the end of this transaction. Null when there is none. A run that
-- has only used up its steps is left until what runs of it, but for the tasks in `p_but`, has ended.
create or replace function flowbuilder.halt_over_budget(p_runs uuid[], p_but bigint[] default '{}')
returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_over uuid[];
begin
    if p_runs is null then
        return null;
    end if;
    with judged as materialized (
        select b.run_id, r.status, coalesce(o.breach, b.breach) as breach
        from flowbuilder.run_budgets b
        cross join lateral (
            select r.* from flowbuilder.runs r where r.id = b.run_id limit 1) r
        cross join lateral (
            select flowbuilder.budget_breach(flowbuilder.budget_of(b.run_id)) as breach) o
        where b.run_id = any (p_runs) and r.finished_at is null and r.failure is null
          and not (o.breach is null and b.breach ->> 'budget' = 'steps' and exists (
              select from flowbuilder.tasks t where t.run_id = r.id and t.kind = 'step'
                and (t.status = 'running') is true and t.id <> all (p_but)))
    ),
    halted as (
        update flowbuilder.runs r set status = 'paused'
        from judged j where r.id = j.run_id and j.breach is not null and j.status = 'running'
    ),
    noted as (
        update flowbuilder.run_budgets b
        set breach = j.breach, halted = b.halted or j.status = 'running'
        from judged j where b.run_id = j.run_id and j.breach is not null
        returning b.run_id
    )
    select array_agg(n.run_id order by n.run_id) into v_over from noted n;
    return v_over;
end
$$;
