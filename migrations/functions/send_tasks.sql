-- Give queued tasks their message: a delay is over, a decision came, work came back. They stand in
-- the queue where they would have stood since they became available, not behind everybody else.
-- A task that is not queued gets none: nothing would ever take it away again. `is true` keeps the
-- planner off the index of what is put off, which it would read whole, and a look-up of each by its
-- key off a join over tables that looked empty.
create or replace function flowbuilder.send_tasks(p_tasks bigint[]) returns void
language sql set search_path = ''
as $$
    with now as materialized (
        select flowbuilder.now() as at, flowbuilder.shut_places() as shut
    ),
    picked as materialized (
        select t.id, t.ctid as tid, nextval('pgmq.q_flowbuilder_tasks_msg_id_seq') as message_id,
               case when n.shut is null then p.place
               else flowbuilder.clear_place(p.place, n.shut) end as place
        from now n
        cross join unnest(p_tasks) with ordinality as g (id, place)
        cross join lateral (
            select t.*, t.ctid from flowbuilder.tasks t
            where t.id = g.id and (t.status = 'queued') is true and t.message_id is null limit 1) t
        cross join lateral (
            select r.priority from flowbuilder.runs r where r.id = t.run_id limit 1) r
        cross join lateral flowbuilder.queue_place(
            least(t.available_at, n.at), r.priority, t.element) as p (place)
    ),
    sent as (
        insert into pgmq.q_flowbuilder_tasks (msg_id, vt, message) overriding system value
        select p.message_id, p.place, jsonb_build_object('task', p.id) from picked p
    )
    update flowbuilder.tasks t set message_id = p.message_id, blocked_by = null
    from picked p where t.ctid = p.tid  -- of a queued task of a locked run: it is still there
$$;
