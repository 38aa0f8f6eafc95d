-- The runs of the tasks that a worker could claim now, seen without locks: from the front of the
-- queue, no further than needed.
create or replace function flowbuilder.visible_runs(
    p_worker uuid, p_limit integer, p_now timestamptz
) returns uuid[]
language plpgsql stable set search_path = ''
as $$
declare
    v_tools text[];
begin
    if p_limit <= 0 then
        return '{}';
    end if;
    select w.tools into v_tools from flowbuilder.workers w where w.id = p_worker;
    return (
        select coalesce(array_agg(distinct c.run_id), '{}') from (
            select f.run_id
            from pgmq.q_flowbuilder_tasks q
            cross join lateral (
                select t.run_id
                from flowbuilder.tasks t
                join flowbuilder.runs r on r.id = t.run_id
                where t.id = (q.message ->> 'task')::bigint
                  and r.status in ('queued', 'running')
                  and (t.tool is null or t.tool = any (v_tools))
                  and (t.owner_id is null or t.owner_id = p_worker)
                  and (t.status = 'queued' or t.status = 'running' and t.lease_until <= p_now
                       and t.worker_id <> p_worker)
                limit 1) f
            where q.vt <= p_now
            order by q.msg_id limit p_limit) c);
end
$$;
