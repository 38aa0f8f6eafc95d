-- Look after what a worker holds, [[task_id, fence], …]: extend the leases that are more than a
-- third used up, tell which of them are not its any more (`lost`: their handlers must stop), and
-- which tasks are leased to it that it does not know of, because a reply was lost (`unheard`: handed
-- out again under the same fence). Takes no run's lock, so it waits for no row either. The rows of
-- leases are looked for once: those that are gone may still be in the index.
create or replace function flowbuilder.hold(
    p_worker uuid, p_held jsonb, p_leased bigint[], p_now timestamptz, p_lease interval,
    out lost jsonb, out unheard bigint[]
)
language plpgsql set search_path = ''
as $$
declare
    v_leases bigint[] := array(
        select l.id from flowbuilder.leases l
        where l.worker_id = p_worker and l.id >= (
            select w.leases_from from flowbuilder.workers w where w.id = p_worker));
begin
    perform flowbuilder.see_worker(p_worker);
    delete from flowbuilder.leases l
    where l.id = any (v_leases) and not exists (
        select from unnest(l.tasks) as g (id)
        cross join lateral (
            select from flowbuilder.tasks t
            where t.id = g.id and t.worker_id = p_worker and t.status = 'running' limit 1) h);
    update flowbuilder.leases l set until = p_now + p_lease
    where l.id = any (v_leases) and l.until < p_now + p_lease * 0.67;
    select array_agg(t.id), jsonb_agg(jsonb_build_array(t.id, t.fence)) into unheard, lost
    from (select distinct g.id from flowbuilder.leases l cross join lateral unnest(l.tasks) as g (id)
          where l.id = any (v_leases)) h
    cross join lateral (  -- one by one, by the key, whatever the planner thinks of arrays
        select t.* from flowbuilder.tasks t where t.id = h.id limit 1) t
    where t.worker_id = p_worker and t.status = 'running' and t.id <> all (p_leased)
      and not exists (
          select from jsonb_array_elements(p_held) h
          where (h ->> 0)::bigint = t.id and (h ->> 1)::integer = t.fence);
    lost := flowbuilder.extend(p_worker, p_held || coalesce(lost, '[]'), p_lease);
    perform flowbuilder.pass_leases(p_worker);
end
$$;
