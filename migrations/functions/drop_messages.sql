-- Delete the messages of tasks; their rows are the history. By a list of keys, because a join of
-- what seems to be an empty queue may read all of its index.
create or replace function flowbuilder.drop_messages(p_tasks bigint[]) returns void
language sql set search_path = ''
as $$
    delete from pgmq.q_flowbuilder_tasks q
    where q.msg_id = any (array(
        select t.message_id from flowbuilder.tasks t where t.id = any (p_tasks)))
$$;
