-- Extend the leases in `p_held` that are still this worker's and more than a third used up. Returns
-- the others, [[task_id, fence], …]: their handlers must stop. Takes no run's lock, so it waits for
-- no row either: what somebody else has locked is extended the next time. Each task is looked up by
-- its key: a join of what looks empty when plans are made would read all tasks.
create or replace function flowbuilder.extend(p_worker uuid, p_held jsonb, p_lease interval)
returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off
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
        select t.id
        from held h
        cross join lateral (
            select t.id from flowbuilder.tasks t
            where t.id = h.task_id and t.fence = h.fence and (t.status = 'running') is true
              and t.worker_id = p_worker and t.lease_until < v_now + p_lease * 0.67
            limit 1 for update skip locked) t
        where exists (
            select from flowbuilder.workers w where w.id = p_worker and w.status = 'live')
    ),
    extended as (
        update flowbuilder.tasks t set lease_until = v_now + p_lease
        where t.id = any (array(select d.id from due d))
    )
    select coalesce(jsonb_agg(jsonb_build_array(h.task_id, h.fence)), '[]') into v_lost
    from held h
    left join lateral (
        select t.id from flowbuilder.tasks t
        where t.id = h.task_id and t.fence = h.fence and (t.status = 'running') is true
          and t.worker_id = p_worker
        limit 1) t on true
    where t.id is null;
    return v_lost;
end
$$;
