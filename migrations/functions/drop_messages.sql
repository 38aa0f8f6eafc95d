-- Delete the messages of tasks; their rows are the history.
create or replace function flowbuilder.drop_messages(p_tasks bigint[]) returns void
language sql set search_path = ''
as $$
    delete from pgmq.q_flowbuilder_tasks q
    using flowbuilder.tasks t
    where t.id = any (p_tasks) and q.msg_id = t.message_id
$$;
