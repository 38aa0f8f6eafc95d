-- Hide up to `p_limit` messages of a queue from other consumers for a time and return them. Of a
-- stream of which a message is hidden none is returned, so that whoever comes back to it after a
-- failure comes back in order.
create or replace function flowbuilder.take_messages(
    p_queue text, p_limit integer, p_seconds double precision
) returns table (msg_id bigint, enqueued_at timestamptz, read_ct integer, message jsonb)
language plpgsql set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtext('flowbuilder.take_messages ' || p_queue));
    return query execute format($statement$
        with hidden as materialized (
            select distinct q.headers ->> 'x-pgmq-group' as stream from pgmq.%1$I q
            where q.vt > clock_timestamp() and q.headers ->> 'x-pgmq-group' is not null
        ),
        next as materialized (
            select q.msg_id from pgmq.%1$I q
            where q.vt <= clock_timestamp() and not exists (
                select from hidden h where h.stream = q.headers ->> 'x-pgmq-group')
            order by q.msg_id limit $1 for update skip locked
        )
        update pgmq.%1$I q
        set vt = clock_timestamp() + make_interval(secs => $2), read_ct = q.read_ct + 1
        from next n where q.msg_id = n.msg_id
        returning q.msg_id, q.enqueued_at, q.read_ct, q.message
        $statement$, pgmq.format_table_name(p_queue, 'q'))
    using p_limit, p_seconds;
end
$$;
