-- How many visible messages of runs with a higher priority stand before one in the queue, as far as the
-- first thousand before it tell.
create or replace function flowbuilder.why_outranked(p_message bigint, p_now timestamptz)
returns integer
language sql stable set search_path = ''
as $$
    select count(*)::integer from (
        select t.run_id, m.priority from pgmq.q_flowbuilder_tasks o
        join flowbuilder.tasks w on w.id = (o.message ->> 'task')::bigint
        join flowbuilder.runs m on m.id = w.run_id
        join pgmq.q_flowbuilder_tasks q on (q.vt, q.msg_id) < (o.vt, o.msg_id)
        join flowbuilder.tasks t on t.id = (q.message ->> 'task')::bigint
        where o.msg_id = p_message and q.vt <= p_now order by q.vt limit 1000) b
    join flowbuilder.runs r on r.id = b.run_id and r.priority > b.priority
      and r.status in ('queued', 'running')
$$;
