-- How much work there is and who is there to do it, for people and for doctor.
create or replace function flowbuilder.queue_depth() returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object(
        'queued', (select count(*) from pgmq.q_flowbuilder_tasks q join flowbuilder.tasks t
                   on t.id = (q.message ->> 'task')::bigint and t.status = 'queued'),
        'delayed', (select count(*) from flowbuilder.tasks where parked and status = 'queued'),
        'blocked', (select count(*) from flowbuilder.tasks where blocked_by is not null),
        'running', (select coalesce(sum(c.running), 0)
                    from flowbuilder.crew(flowbuilder.now()) c),
        'waiting', (select count(*) from flowbuilder.tasks where parked and status = 'waiting'),
        'messages', (select count(*) from pgmq.q_flowbuilder_tasks),
        'oldest_seconds', (
            select extract(epoch from flowbuilder.now() - min(t.available_at))
            from pgmq.q_flowbuilder_tasks q
            join flowbuilder.tasks t on t.id = (q.message ->> 'task')::bigint
            where q.vt <= flowbuilder.now() and t.status = 'queued'),
        'approvals', (select count(*) from flowbuilder.approvals where status = 'pending'),
        'workers', (select count(*) from flowbuilder.workers where status = 'live'))
$$;
