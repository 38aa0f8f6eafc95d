-- How much work there is and who is there to do it, for people and for doctor.
create or replace function flowbuilder.queue_depth() returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object(
        'queued', (select count(*) from flowbuilder.tasks
                   where status = 'queued' and message_id is not null),
        'delayed', (select count(*) from flowbuilder.tasks
                    where status = 'queued' and message_id is null),
        'running', (select count(*) from flowbuilder.tasks where status = 'running'),
        'waiting', (select count(*) from flowbuilder.tasks where status = 'waiting'),
        'messages', (select count(*) from pgmq.q_flowbuilder_tasks),
        'oldest_seconds', (select extract(epoch from flowbuilder.now() - min(t.available_at))
                           from flowbuilder.tasks t
                           where t.status = 'queued' and t.available_at <= flowbuilder.now()),
        'approvals', (select count(*) from flowbuilder.approvals where status = 'pending'),
        'workers', (select count(*) from flowbuilder.workers where status = 'live'))
$$;
