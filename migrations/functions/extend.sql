-- Extend the leases in `p_held` that are still this worker's and more than a third used up. Returns
-- the others, [[task_id, fence], …]: their handlers must stop. Takes no run's lock, so it waits for
-- no row either: what somebody else has locked is extended the next time.
create or replace function flowbuilder.extend(p_worker uuid, p_held jsonb, p_lease interval)
returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_now  timestamptz := flowbuilder.now();
    v_lost jsonb;
begin
    with held as (
        select (h ->> 0)::bigint as task_id, (h ->> 1)::integer as fence
        from jsonb_array_elements(p_held) h
    ),
    due as materialized (
        select t.id from flowbuilder.tasks t
        join held h on t.id = h.task_id and t.fence = h.fence
        where t.status = 'running' and t.worker_id = p_worker
          and t.lease_until < v_now + p_lease * 0.67
          and exists (select from flowbuilder.workers w where w.id = p_worker and w.status = 'live')
        for update of t skip locked
    ),
    extended as (
        update flowbuilder.tasks t set lease_until = v_now + p_lease
        from due d where t.id = d.id
    )
    select coalesce(jsonb_agg(jsonb_build_array(h.task_id, h.fence)), '[]') into v_lost
    from held h
    where not exists (
        select from flowbuilder.tasks t
        where t.id = h.task_id and t.fence = h.fence and t.status = 'running'
          and t.worker_id = p_worker);
    return v_lost;
end
$$;
