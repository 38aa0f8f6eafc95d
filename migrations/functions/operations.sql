-- What only the database knows of the whole installation, read when somebody looks (`/metrics`): queues,
-- approvals, what went wrong, and how far the schema is.
create or replace function flowbuilder.operations() returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_now     timestamptz := flowbuilder.now();
    v_pending jsonb;
begin
    select jsonb_object_agg(g.risk, g.n) into v_pending
    from (select a.risk, count(*) as n
          from flowbuilder.approvals a where a.status = 'pending' group by a.risk) g;
    return jsonb_build_object(
        'queues', (select jsonb_object_agg(m.queue_name, jsonb_build_object(
                'visible', m.queue_visible_length,
                'inflight', m.queue_length - m.queue_visible_length,
                -- of the engine's queue, what a paused run has put off does not count
                'oldest', coalesce(case when m.queue_name = 'flowbuilder_tasks' then (
                    select extract(epoch from clock_timestamp() - min(q.enqueued_at))
                    from pgmq.q_flowbuilder_tasks q where q.vt <= v_now)
                    else m.oldest_msg_age_sec end, 0)))
            from pgmq.metrics_all() m),
        'dead', (select jsonb_object_agg(d.queue, d.n) from (
                select 'flowbuilder_tasks' as queue, count(*) as n from flowbuilder.suspects
                union all
                select s.queue, count(l.*) from flowbuilder.subscribers s
                left join flowbuilder.deliveries l on l.queue = s.queue
                where s.error is not null group by s.queue) d),
        'approvals', v_pending,
        'oldest_approval', (
            select coalesce(extract(epoch from v_now - min(a.requested_at)), 0)
            from flowbuilder.approvals a where a.status = 'pending'),
        'leases_expired', (
            select coalesce(sum(t.amount), 0) from flowbuilder.tallies t
            where t.name = 'leases_expired'),
        'migration', (
            select max(substr(m.name, 1, 4)::integer) from flowbuilder.migrations m
            where m.kind = 'file'));
end
$$;
