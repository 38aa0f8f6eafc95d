-- Whether the queue holds a task that a worker with these tools could claim, or what a limit kept
-- back may go on.
create or replace function flowbuilder.is_claimable(
    p_worker uuid, p_tools text[], p_now timestamptz
) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
    return exists (
        select from flowbuilder.queue_stretches(p_now) s
        cross join lateral (
            select from pgmq.q_flowbuilder_tasks q
            cross join lateral (
                select t.run_id from flowbuilder.tasks t
                where t.id = (q.message ->> 'task')::bigint and (t.status = 'queued') is true
                  and (t.tool is null or t.tool = any (p_tools))
                  and (t.owner_id is null or t.owner_id = p_worker)
                limit 1) f
            cross join lateral (
                select from flowbuilder.runs r
                where r.id = f.run_id and (r.status in ('queued', 'running')) is true limit 1) o
            where q.vt >= s.since and q.vt <= s.until order by q.vt limit 1) w)
        or exists (select from flowbuilder.slot_news n
                   join flowbuilder.limit_slots s on s.id = n.slot_id where s.waiting);
end
$$;
