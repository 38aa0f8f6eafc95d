-- How many visible messages stand before one in the queue; nobody needs to know more than 10,000.
create or replace function flowbuilder.why_behind(p_message bigint, p_now timestamptz)
returns integer
language sql stable set search_path = ''
as $$
    select count(*)::integer from (
        select from pgmq.q_flowbuilder_tasks o
        join pgmq.q_flowbuilder_tasks q on (q.vt, q.msg_id) < (o.vt, o.msg_id)
        where o.msg_id = p_message and q.vt <= p_now limit 10000) c
$$;
