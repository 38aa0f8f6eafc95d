-- Put committed events into the queues that are bound to their topics: at most `p_limit` for each
-- queue, in the order of each stream, one call at a time for a queue. A queue that cannot take
-- them is tried again later, ever more rarely, and holds up no other.
create or replace function flowbuilder.deliver(p_limit integer default 500) returns jsonb
language plpgsql set search_path = '' set lock_timeout = '250ms'
as $$
declare
    v_queue text;
    v_one   jsonb;
    v_sent  jsonb := '[]';
    v_wrong jsonb := '[]';
    v_busy  boolean := false;
begin
    for v_queue in
        select s.queue from flowbuilder.subscribers s
        cross join lateral (  -- in order, so that it is a look into the index
            select d.id from flowbuilder.deliveries d where d.queue = s.queue
            order by d.queue, d.id limit 1) d
        where coalesce(s.retry_at <= flowbuilder.now(), true)
        order by s.queue
    loop
        begin
            perform from flowbuilder.subscribers s where s.queue = v_queue for update;
        exception when lock_not_available then
            v_busy := true;  -- somebody else delivers; what came since is looked at again
            continue;
        end;
        begin
            v_one := flowbuilder.deliver_to(v_queue, p_limit);
            v_sent := v_sent || v_one;
            update flowbuilder.subscribers s set failures = 0, retry_at = null, error = null
            where s.queue = v_queue and s.failures > 0;
        exception when others then
            update flowbuilder.subscribers s
            set failures = s.failures + 1, error = left(sqlerrm, 500),
                retry_at = flowbuilder.now()
                    + make_interval(secs => least(60, 0.5 * 2 ^ least(s.failures, 10)))
            where s.queue = v_queue;
            v_wrong := v_wrong || jsonb_build_object('queue', v_queue, 'error', left(sqlerrm, 500),
                'failures', (select s.failures from flowbuilder.subscribers s
                             where s.queue = v_queue));
        end;
    end loop;
    return jsonb_build_object('sent', v_sent, 'wrong', v_wrong, 'busy', v_busy);
end
$$;
