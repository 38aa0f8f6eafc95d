-- The bindings of a workspace's queues (and those bound by pgmq alone) with what lies in each
-- queue and what it is still to get, all at one moment (stable). Counting stops at 100,000.
create or replace function flowbuilder.subscriptions(p_workspace uuid) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
    v_found jsonb := '[]';
    v_row   record;
    v_held  record;
begin
    if to_regclass('pgmq.topic_bindings') is null then
        return v_found;
    end if;
    for v_row in
        select s.*, b.pattern, b.bound_at,
            (select count(*) from (select from flowbuilder.deliveries d
                                   where d.queue = s.queue limit 100000) p) as pending
        from flowbuilder.subscribers s join pgmq.topic_bindings b on b.queue_name = s.queue
        where s.workspace_id is null or s.workspace_id = p_workspace
        order by s.queue, b.pattern
    loop
        begin
            execute format('select count(*) as messages,
                    extract(epoch from clock_timestamp() - min(q.enqueued_at))::float8 as age
                from (select enqueued_at from pgmq.%I order by msg_id limit 100000) q',
                pgmq.format_table_name(v_row.queue, 'q')) into v_held;
        exception when undefined_table or insufficient_privilege then
            select null::bigint as messages, null::float8 as age into v_held;
            v_row.error := coalesce(v_row.error, sqlerrm);
        end;
        v_found := v_found || jsonb_build_object(
            'queue', v_row.queue, 'pattern', v_row.pattern, 'workspace_id', v_row.workspace_id,
            'bound_at', v_row.bound_at, 'largest', v_row.largest, 'pending', v_row.pending,
            'messages', v_held.messages, 'oldest_seconds', v_held.age, 'error', v_row.error);
    end loop;
    return v_found;
end
$$;
