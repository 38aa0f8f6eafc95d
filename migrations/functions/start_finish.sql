-- Make the finishing task of each of the (locked) runs, once. The first `p_keep` are leased to the
-- given worker at once, the others are queued; they get their message here, so that they are never
-- parked, not even for a moment. Returns what was leased.
create or replace function flowbuilder.start_finish(
    p_runs uuid[], p_now timestamptz, p_worker uuid, p_keep integer, p_lease interval
) returns bigint[]
language plpgsql set search_path = ''
as $$
declare
    v_kept bigint[];
begin
    with made as (
        insert into flowbuilder.tasks (run_id, position, kind, status, available_at, message_id,
            worker_id, lease_until, fence, claims, attempt, started_at)
        select g.id, -1, 'finish', case when k.kept then 'running' else 'queued' end, p_now,
            case when not k.kept then nextval('pgmq.q_flowbuilder_tasks_msg_id_seq') end,
            case when k.kept then p_worker end,
            case when k.kept then p_now + p_lease end, k.kept::integer, k.kept::integer,
            k.kept::integer, case when k.kept then p_now end
        from unnest(p_runs) with ordinality as g (id, place)
        cross join lateral (select g.place <= p_keep as kept) k
        order by g.place
        on conflict do nothing
        returning id, run_id, status, message_id
    ),
    shut as materialized (select flowbuilder.shut_places() as places),  -- only if any is sent
    sent as (
        insert into pgmq.q_flowbuilder_tasks (msg_id, vt, message) overriding system value
        select m.message_id, case when (select s.places from shut s) is null then m.spot
               else flowbuilder.clear_place(m.spot, (select s.places from shut s)) end,
               jsonb_build_object('task', m.id)
        from (select m.id, m.message_id, flowbuilder.queue_place(p_now, r.priority, -1) as spot
              from made m join flowbuilder.runs r on r.id = m.run_id
              where m.status = 'queued') m
    )
    select array_agg(m.id) filter (where m.status = 'running') into v_kept from made m;
    return v_kept;
end
$$;
