-- The first `p_limit` visible messages that this worker can do, locked, without the given tasks: their
-- tasks in the order of the queue, and those of their runs that nobody else has locked. Task and run
-- are looked up one after the other: of a join of two tables that look empty, as they are when plans
-- are made in a new database, the planner reads one from end to end.
create or replace function flowbuilder.find_work(
    p_worker uuid, p_tools text[], p_limit integer, p_now timestamptz, p_without bigint[],
    out tasks bigint[], out runs uuid[]
)
language plpgsql set search_path = ''
as $$
begin
    select array_agg(c.id order by c.vt), array_agg(c.run_id) into tasks, runs
    from (
        select w.id, w.run_id, w.vt
        from flowbuilder.queue_stretches(p_now) s
        cross join lateral (
            select f.id, f.run_id, q.vt
            from pgmq.q_flowbuilder_tasks q
            cross join lateral (
                select t.id, t.run_id from flowbuilder.tasks t
                where t.id = (q.message ->> 'task')::bigint
                  and (t.tool is null or t.tool = any (p_tools))
                  and (t.owner_id is null or t.owner_id = p_worker)
                  and (t.status = 'queued') is true and t.id <> all (p_without)
                limit 1) f
            cross join lateral (
                select from flowbuilder.runs r
                where r.id = f.run_id and (r.status in ('queued', 'running')) is true limit 1) o
            where q.vt >= s.since and q.vt <= s.until
            order by q.vt limit p_limit for update of q skip locked) w
        limit p_limit) c;  -- the stretches come one after the other, so these are the first
    if tasks is not null then
        runs := array(
            select r.id from flowbuilder.runs r
            where r.id = any (find_work.runs) and r.status in ('queued', 'running')
            for update skip locked);
    end if;
end
$$;
