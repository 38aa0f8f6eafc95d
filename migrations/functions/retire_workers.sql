-- live → stopped or dead: what the workers held is queued again at no cost of attempts, and tasks
-- whose function lived only there fail, those of a dead one when it stays silent. Returns the runs
-- touched. All workers first, then all runs in one go: one worker after the other would lock runs
-- out of order.
create or replace function flowbuilder.retire_workers(p_workers uuid[], p_status text)
returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_gone uuid[];
    v_runs uuid[];
begin
    perform 1 from flowbuilder.workers w
    where w.id = any (p_workers) order by w.id for update;
    with gone as (
        update flowbuilder.workers set status = p_status
        where id = any (p_workers) and status = 'live' returning id
    )
    select array_agg(id) into v_gone from gone;
    if v_gone is null then
        return '{}';
    end if;
    v_runs := flowbuilder.lock_runs(array(
        select t.run_id
        from unnest(v_gone) g cross join lateral flowbuilder.leased_tasks(g) t
        union
        select t.run_id from flowbuilder.tasks t
        where t.owner_id = any (v_gone) and t.orphanable));
    perform flowbuilder.requeue_tasks(array(
        select t.id from unnest(v_gone) g cross join lateral flowbuilder.leased_tasks(g) t
        where t.run_id = any (v_runs)));
    delete from flowbuilder.leases where worker_id = any (v_gone);
    perform flowbuilder.fail_orphans(v_runs);
    return v_runs;
end
$$;
