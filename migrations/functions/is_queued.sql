-- Whether anything at all waits in the queue.
create or replace function flowbuilder.is_queued(p_now timestamptz) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
    return exists (
        select from flowbuilder.queue_stretches(p_now) s
        cross join lateral (
            select from pgmq.q_flowbuilder_tasks q
            where q.vt >= s.since and q.vt <= s.until order by q.vt limit 1) w);
end
$$;
