-- Leases that ran out: their worker is alive, as far as can be seen, but was not heard for too
-- long. Its tasks are queued again, but not by itself: it would give away what it is working on.
-- Runs that somebody else holds are left for the next call.
create or replace function flowbuilder.sweep_leases(p_worker uuid, p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_now  timestamptz := flowbuilder.now();
    v_runs uuid[];
begin
    v_runs := array(
        select r.id from flowbuilder.runs r
        where r.id in (
            select t.run_id from flowbuilder.workers w
            cross join lateral (
                select h.run_id
                from flowbuilder.leases l
                cross join lateral unnest(l.tasks) as g (id)
                cross join lateral (
                    select t.run_id from flowbuilder.tasks t
                    where t.id = g.id and t.worker_id = w.id and t.status = 'running'
                      and t.lease_until <= v_now
                    limit 1) h
                where l.worker_id = w.id and l.id >= w.leases_from and l.until <= v_now
                limit p_limit) t
            where w.status = 'live' and w.id is distinct from p_worker)
        order by r.id for update skip locked);
    if cardinality(v_runs) > 0 then
        perform flowbuilder.requeue_tasks(array(
            select t.id from flowbuilder.tasks t
            where t.run_id = any (v_runs) and t.status = 'running' and t.lease_until <= v_now
              and t.worker_id is distinct from p_worker));
    end if;
    return v_runs;
end
$$;
