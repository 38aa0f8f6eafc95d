-- pending → queued for the next elements of a mapped step, in order: at most as many as ended, so
-- that no more than the step's window is ever in the queue.
create or replace function flowbuilder.admit(p_place flowbuilder.place, p_count integer)
returns void
language plpgsql set search_path = ''
as $$
begin
    with next as materialized (
        select t.id, t.element, r.priority, flowbuilder.now() as at
        from flowbuilder.tasks t
        join flowbuilder.runs r on r.id = t.run_id
        where t.run_id = p_place.run_id and t.position = p_place.position and t.element >= 0
          and t.status = 'pending'
        order by t.element limit p_count
    ),
    sent as (
        insert into pgmq.q_flowbuilder_tasks (vt, message)
        select flowbuilder.queue_place(at, priority, element), jsonb_build_object('task', id)
        from next order by id
        returning msg_id, (message ->> 'task')::bigint as task_id
    )
    update flowbuilder.tasks t
    set status = 'queued', available_at = n.at, message_id = s.msg_id
    from sent s join next n on n.id = s.task_id where t.id = s.task_id;
end
$$;
