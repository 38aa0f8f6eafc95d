-- The runs of the tasks that a worker could claim now, seen without locks.
create or replace function flowbuilder.visible_runs(
    p_worker uuid, p_limit integer, p_now timestamptz
) returns uuid[]
language sql stable set search_path = ''
as $$
    select coalesce(array_agg(distinct c.run_id), '{}') from (
        select t.run_id
        from flowbuilder.workers w
        cross join pgmq.q_flowbuilder_tasks q
        join flowbuilder.tasks t on t.id = (q.message ->> 'task')::bigint
        join flowbuilder.runs r on r.id = t.run_id
        where w.id = p_worker and q.vt <= p_now and r.status in ('queued', 'running')
          and (t.tool is null or t.tool = any (w.tools))
          and (t.owner_id is null or t.owner_id = p_worker)
          and (t.status = 'queued' or t.status = 'running' and t.lease_until <= p_now
               and t.worker_id <> p_worker)
        order by q.msg_id limit greatest(p_limit, 0)) c
$$;
