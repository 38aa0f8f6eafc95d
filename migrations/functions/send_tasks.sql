-- Give queued tasks their message, visible now: a delay is over, a decision came, work came back.
create or replace function flowbuilder.send_tasks(p_tasks bigint[]) returns void
language sql set search_path = ''
as $$
    with sent as (
        insert into pgmq.q_flowbuilder_tasks (vt, message)
        select flowbuilder.now(), jsonb_build_object('task', id)
        from unnest(p_tasks) with ordinality as g (id, place) order by place
        returning msg_id, (message ->> 'task')::bigint as task_id
    )
    update flowbuilder.tasks t set message_id = s.msg_id
    from sent s where t.id = s.task_id and t.status = 'queued'
$$;
