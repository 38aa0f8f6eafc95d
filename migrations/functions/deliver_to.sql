-- Put the next events into one queue, whose row of subscribers the caller has locked. A full queue
-- gets nothing: what it is to get waits as numbers. At most about 8 MiB go in one call.
create or replace function flowbuilder.deliver_to(p_queue text, p_limit integer) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_table  text := pgmq.format_table_name(p_queue, 'q');
    v_room   bigint;
    v_bodies jsonb[];
    v_heads  jsonb[];
    v_ids    bigint[];
    v_size   bigint;
begin
    execute format('select $1 - coalesce(max(q.msg_id) - min(q.msg_id) + 1, 0) from pgmq.%I q',
                   v_table) into v_room
        using (select s.largest from flowbuilder.subscribers s where s.queue = p_queue);
    if v_room < p_limit then  -- numbers have gaps
        execute format('select $1 - count(*) from (select from pgmq.%I q limit $1) m', v_table)
            into v_room
            using (select s.largest from flowbuilder.subscribers s where s.queue = p_queue);
    end if;
    with picked as materialized (
        select d.id, d.stream, d.seq from flowbuilder.deliveries d where d.queue = p_queue
        order by d.queue, d.id limit greatest(least(p_limit, v_room), 0)
    ),
    sized as materialized (  -- what retention has deleted meanwhile is no event any more
        select p.*, e.size, sum(e.size) over (order by p.id) as total
        from picked p
        cross join lateral (select coalesce(sum(octet_length(e.data::text)), 0) as size
                            from flowbuilder.events e
                            where e.stream = p.stream and e.seq = p.seq) e
    ),
    fitting as materialized (
        select s.* from sized s where s.total - s.size < 8388608
    ),
    gone as (
        delete from flowbuilder.deliveries d using fitting f
        where d.queue = p_queue and d.id = f.id
    )
    select array_agg(flowbuilder.envelope(e) order by f.id),
           array_agg(jsonb_build_object('topic', flowbuilder.topic(e.type),
               'workspace', e.workspace_id, 'x-pgmq-group', e.stream) order by f.id),
           sum(f.size)
    into v_bodies, v_heads, v_size
    from fitting f join flowbuilder.events e on e.stream = f.stream and e.seq = f.seq;
    if v_bodies is not null then
        select array_agg(m.id order by m.id) into v_ids
        from pgmq.send_batch(p_queue, v_bodies, v_heads) m (id);
    end if;
    return jsonb_build_object('queue', p_queue, 'messages', coalesce(cardinality(v_ids), 0),
        'first', v_ids[1], 'last', v_ids[cardinality(v_ids)], 'bytes', coalesce(v_size, 0),
        'more', v_room > coalesce(cardinality(v_ids), 0)
            and (select d.id from flowbuilder.deliveries d where d.queue = p_queue
                 order by d.queue, d.id limit 1) is not null);
end
$$;
