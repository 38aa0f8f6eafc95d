-- Make the one task of each given step, which is running: its work or, for a mapped step with a
-- condition, the task that evaluates the condition. The first `p_keep` tasks that the given worker
-- can do, and no limit is on, are leased to it at once and have no message, unless `p_head`, the place
-- of what waits first in the queue, is that of a higher class than theirs; the others are queued.
-- Messages are numbered here, by the queue's own sequence, so that they need not be matched with their
-- tasks afterwards.
create or replace function flowbuilder.start_tasks(
    p_places flowbuilder.place[], p_now timestamptz, p_worker uuid, p_tools text[],
    p_keep integer, p_lease interval, p_head timestamptz default null,
    out leased bigint[], out events flowbuilder.event_draft[]
)
language plpgsql set search_path = ''
as $$
begin
    with ready as (
        select n.*, coalesce(n.able and row_number() over (order by n.able desc, n.place) <= p_keep,
                             false) as kept
        from (select p.run_id, p.position, p.place, s.step_id, s.node_id, v.owner_id,
                     case when v.for_each is null then 'step' else 'expand' end as kind,
                     case when v.for_each is null then v.tool end as tool,
                     r.status <> 'paused' and (v.for_each is not null
                         or v.tool = any (p_tools) and v.limits is null)
                     and (v.owner_id is null or v.owner_id = p_worker) and (p_head is null
                         or p_head > p_now - make_interval(secs => 3600 * r.priority + 9000)
                     ) as able, r.priority
              from unnest(p_places) with ordinality as p (run_id, position, place)
              join flowbuilder.runs r on r.id = p.run_id
              join flowbuilder.run_steps s on s.run_id = p.run_id and s.position = p.position
              join flowbuilder.version_steps v on v.id = s.node_id
              ) n
    ),
    fresh as materialized (
        select nextval('flowbuilder.tasks_id_seq') as id, case when not r.kept
               then nextval('pgmq.q_flowbuilder_tasks_msg_id_seq') end as message_id, r.*
        from (select r.* from ready r order by r.place) r
    ),
    shut as materialized (select flowbuilder.shut_places() as places),  -- only if any is sent
    sent as (
        insert into pgmq.q_flowbuilder_tasks (msg_id, vt, message) overriding system value
        select f.message_id, case when (select s.places from shut s) is null then f.spot
               else flowbuilder.clear_place(f.spot, (select s.places from shut s)) end,
               jsonb_build_object('task', f.id)
        from (select f.id, f.message_id, flowbuilder.queue_place(p_now, f.priority,
                     row_number() over (partition by f.run_id order by f.place) - 1) as spot
              from fresh f where not f.kept) f
    ),
    made as (
        insert into flowbuilder.tasks (id, run_id, position, kind, status, step_id, node_id, tool,
            owner_id, available_at, message_id, worker_id, lease_until, fence, claims, attempt,
            started_at)
        overriding system value
        select f.id, f.run_id, f.position, f.kind, case when f.kept then 'running' else 'queued' end,
               f.step_id, f.node_id, f.tool, f.owner_id, p_now, f.message_id,
               case when f.kept then p_worker end, case when f.kept then p_now + p_lease end,
               f.kept::integer, f.kept::integer, f.kept::integer, case when f.kept then p_now end
        from fresh f
        returning id, run_id, step_id, kind, status
    )
    select array_agg(m.id), array_agg((m.run_id, 'task_started', m.step_id, m.id, 1, null
        )::flowbuilder.event_draft) filter (where m.kind = 'step')
    into leased, events from made m where m.status = 'running';
end
$$;
