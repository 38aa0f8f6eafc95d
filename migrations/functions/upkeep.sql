-- What time moves: delayed retries, sleeps, deadlines of approvals and runs, dead workers. Bounded
-- per call, and runs that somebody else holds are left for the next one. The settings keep plans that
-- were made over empty tables good for full ones.
create or replace function flowbuilder.upkeep(
    p_worker uuid default null, p_limit integer default 100
) returns jsonb
language plpgsql
set search_path = '' set enable_seqscan = off set enable_mergejoin = off
set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    v_touched uuid[];
    v_more    boolean;
begin
    perform flowbuilder.see_worker(p_worker);
    perform flowbuilder.watch_gaps();
    v_more := flowbuilder.watch_runs(5 * p_limit);
    v_touched := flowbuilder.bury_workers()
                 || flowbuilder.expire_runs(p_limit)
                 || flowbuilder.expire_holds(p_limit)
                 || flowbuilder.sweep_leases(p_worker, p_limit)
                 || flowbuilder.wake_tasks(p_limit)
                 || flowbuilder.sweep_orphans(p_limit)
                 || flowbuilder.sweep_slots(p_limit)
                 || flowbuilder.sweep_gates(p_limit);
    perform flowbuilder.forget_suspects(p_limit);
    return jsonb_build_object(
        'touched', to_jsonb(array(select distinct t from unnest(v_touched) t)),
        'ready', cardinality(v_touched) > 0,
        'outbox', exists (select from flowbuilder.outbox),
        'queued', flowbuilder.is_queued(flowbuilder.now()),
        'undelivered', exists (select from flowbuilder.deliveries),
        'schedules', exists (select from flowbuilder.schedules s where s.next_at <= flowbuilder.now()),
        'notices', exists (select from flowbuilder.approval_notices n
                           where n.status = 'waiting' and n.next_at <= flowbuilder.now())
                   or exists (select from flowbuilder.approvals a where a.status = 'pending'
                              and a.escalate_at <= flowbuilder.now()),
        'replans', exists (select from flowbuilder.replans p where p.status = 'open'
                           and (p.lease_until is null or p.lease_until <= flowbuilder.now())),
        'next_due_seconds', (
            select case when min(d.at) is not null
                   then greatest(extract(epoch from min(d.at) - flowbuilder.now()), 0) end
            from (
                (select t.available_at as at from flowbuilder.tasks t
                 where t.parked and t.available_at is not null
                 order by t.available_at limit 1)
                union all
                (select h.deadline_at from flowbuilder.run_holds h order by h.deadline_at limit 1)
                union all
                (select s.wake_at from flowbuilder.limit_slots s
                 where s.waiting and s.wake_at is not null order by s.wake_at limit 1)
                union all
                (select g.wake_at from flowbuilder.gates g
                 where g.wake_at is not null order by g.wake_at limit 1)
                union all
                (select r.deadline_at from flowbuilder.runs r  -- ended runs may stand before it
                 where r.watched and r.deadline_at < flowbuilder.now() + '10 minutes'
                 order by r.deadline_at limit 1)
                union all
                (select s.next_at from flowbuilder.schedules s  -- those that are due are looked at anyway
                 where s.next_at > flowbuilder.now() order by s.next_at limit 1)
                union all
                (select '-infinity' where v_more)) d));
end
$$;
