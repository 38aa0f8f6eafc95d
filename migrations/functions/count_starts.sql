-- Count the steps' tasks that were just leased for the first time against the budgets of their (locked)
-- runs. What a budget has no room for, because all its steps are used up or it is over by what another
-- run of the family has spent, goes back as if it had not been claimed (nobody has seen that it was),
-- without its event. Its run is halted as soon as nothing else runs in it, and joins those in `p_over`,
-- which are stopped at the end of this transaction; charge looks again with each outcome, and what went
-- back comes to the queue again after a while.
create or replace function flowbuilder.count_starts(
    p_leased bigint[], p_events flowbuilder.event_draft[], p_over uuid[],
    out leased bigint[], out events flowbuilder.event_draft[], out over uuid[]
)
language plpgsql set search_path = ''
as $$
declare
    v_back bigint[];
    v_runs uuid[];
begin
    leased := p_leased;
    events := p_events;
    over := p_over;
    with starts as materialized (
        select t.id, t.run_id, t.fence = 1 as first, sum((t.fence = 1)::integer) over (
            partition by b.root_id order by t.id) as nth, b.root_id
        from flowbuilder.tasks t
        cross join lateral (
            select b.root_id from flowbuilder.run_budgets b where b.run_id = t.run_id limit 1) b
        where t.id = any (p_leased) and t.kind = 'step' and (t.status = 'running') is true
    ),
    judged as materialized (
        select s.id, s.run_id, s.first, f.over
               or coalesce(s.first and f.steps + s.nth > f.max_steps, false) as refused
        from starts s
        join (select u.root_id, u.steps, u.max_steps,
                  flowbuilder.budget_breach(u) is not null as over
              from (select distinct on (s.root_id) s.run_id from starts s
                    order by s.root_id) s
              cross join lateral flowbuilder.budget_of(s.run_id) u) f on f.root_id = s.root_id
    ),
    counted as (
        update flowbuilder.run_budgets b set steps = b.steps + g.n
        from (select j.run_id, count(*) as n from judged j
              where j.first and not j.refused group by j.run_id) g
        where b.run_id = g.run_id
    )
    select array_agg(j.id), array_agg(distinct j.run_id) into v_back, v_runs
    from judged j where j.refused;
    if v_back is null then
        return;
    end if;
    update flowbuilder.tasks t
    set status = 'queued', lease_until = null, attempt = t.attempt - 1, claims = t.claims - 1,
        fence = t.fence - 1, available_at = flowbuilder.now() + interval '30 seconds'
    where t.id = any (v_back);
    perform flowbuilder.free_slots(v_back);
    leased := nullif(array(
        select l.id from unnest(p_leased) as l (id) where l.id <> all (v_back)), '{}');
    events := (select array_agg(e.draft order by e.place) from (
        select (u.run_id, u.type, u.step_name, u.task_id, u.attempt, u.data
            )::flowbuilder.event_draft as draft, u.place
        from unnest(p_events) with ordinality
            as u (run_id, type, step_name, task_id, attempt, data, place)
        where u.task_id is null or u.task_id <> all (v_back)) e);
    update flowbuilder.run_budgets b
    set breach = coalesce(
        b.breach, flowbuilder.budget_breach(flowbuilder.budget_of(b.run_id), 1),
        '{"code": "budget_exceeded", "message": "over budget"}')  -- never: what is sent back must end
    where b.run_id = any (v_runs);
    over := array(select distinct r from unnest(p_over || flowbuilder.halt_over_budget(v_runs)) r);
end
$$;
