-- The place (see queue_place.sql) of what stands first in the queue, null when nothing waits. What
-- stands there with the place of a higher class than the usual one counts only if this worker could
-- do it: others would not go first here.
create or replace function flowbuilder.queue_head(
    p_worker uuid, p_tools text[], p_now timestamptz
) returns timestamptz
language plpgsql stable set search_path = ''
as $$
declare
    v_head timestamptz;
begin
    select w.vt into v_head from flowbuilder.queue_stretches(p_now) s
    cross join lateral (
        select q.vt from pgmq.q_flowbuilder_tasks q
        where q.vt >= s.since and q.vt <= s.until order by q.vt limit 1) w limit 1;
    if v_head is null or v_head > p_now - interval '150 minutes' then
        return v_head;
    end if;
    return (
        select w.vt from flowbuilder.queue_stretches(p_now) s
        cross join lateral (
            select q.vt from pgmq.q_flowbuilder_tasks q
            cross join lateral (
                select t.run_id from flowbuilder.tasks t
                where t.id = (q.message ->> 'task')::bigint and (t.status = 'queued') is true
                  and (t.tool is null or t.tool = any (p_tools))
                  and (t.owner_id is null or t.owner_id = p_worker)
                limit 1) f
            cross join lateral (
                select from flowbuilder.runs r
                where r.id = f.run_id and (r.status in ('queued', 'running')) is true limit 1) o
            where q.vt >= s.since and q.vt <= s.until order by q.vt limit 1) w
        limit 1);
end
$$;
