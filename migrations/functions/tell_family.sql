-- What the parent and the children of ended runs hear of it: rows of the outbox, because their own
-- rows are locked in a transaction of its own. Children that are at work are told last: the slots that
-- this frees are not for those that would be told next. `is true` keeps the planner off the index of
-- open runs, which it would read whole. Their budgets, if they have any, are not open any more.
create or replace function flowbuilder.tell_family(p_runs uuid[]) returns void
language plpgsql set search_path = ''
as $$
begin
    if flowbuilder.has_budgets() then
        update flowbuilder.run_budgets b set open = false where b.run_id = any (p_runs) and b.open;
    end if;
    if exists (select from flowbuilder.admissions) then
        perform flowbuilder.leave_gate(p_runs);
    end if;
    insert into flowbuilder.outbox (kind, run_id, task_id, payload, created_at)
    select 'child_ended', r.parent_run_id, r.parent_task_id, json_build_object(
               'child_run_id', r.id, 'status', r.status, 'output', r.output, 'error', r.error),
           flowbuilder.now()
    from flowbuilder.runs r where r.id = any (p_runs) and r.parent_task_id is not null
    union all
    select 'cancel_child', c.id, null, json_build_object('reason', 'its parent run ended'),
           flowbuilder.now()
    from (
        select r.id from flowbuilder.runs r
        where r.parent_run_id = any (p_runs) and (r.finished_at is null) is true
        order by exists (select from flowbuilder.tasks t
                         where t.run_id = r.id and (t.status = 'running') is true), r.id) c;
end
$$;
