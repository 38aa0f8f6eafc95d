-- Give queued tasks their message: a delay is over, a decision came, work came back. They stand in
-- the queue where they would have stood since they became available, not behind everybody else.
-- A task that is not queued gets none: nothing would ever take it away again. `is true` keeps the
-- planner off the index of what is put off, which it would read whole.
create or replace function flowbuilder.send_tasks(p_tasks bigint[]) returns void
language sql set search_path = ''
as $$
    with now as materialized (
        select flowbuilder.now() as at, flowbuilder.shut_places() as shut
    ),
    sent as (
        insert into pgmq.q_flowbuilder_tasks (vt, message)
        select case when n.shut is null then p.place
               else flowbuilder.clear_place(p.place, n.shut) end,
               jsonb_build_object('task', t.id)
        from now n
        cross join unnest(p_tasks) with ordinality as g (id, place)
        join flowbuilder.tasks t on t.id = g.id
        join flowbuilder.runs r on r.id = t.run_id
        cross join lateral flowbuilder.queue_place(
            least(t.available_at, n.at), r.priority, t.element) as p (place)
        where (t.status = 'queued') is true and t.message_id is null
        order by g.place
        returning msg_id, (message ->> 'task')::bigint as task_id
    )
    update flowbuilder.tasks t set message_id = s.msg_id, blocked_by = null
    from sent s where t.id = s.task_id
$$;
