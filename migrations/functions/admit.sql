-- pending → queued for the next elements of a mapped step, in order: at most as many as ended, so
-- that no more than the step's window is ever in the queue.
create or replace function flowbuilder.admit(p_place flowbuilder.place, p_count integer)
returns void
language plpgsql set search_path = ''
as $$
declare
    v_now      timestamptz := flowbuilder.now();
    v_priority integer;
    v_shut     tstzmultirange := flowbuilder.shut_places();
begin
    select r.priority into v_priority from flowbuilder.runs r where r.id = p_place.run_id;
    with next as materialized (
        select t.id, t.element
        from flowbuilder.tasks t
        where t.run_id = p_place.run_id and t.position = p_place.position and t.element >= 0
          and t.unadmitted
        order by t.element limit p_count
    ),
    sent as (
        insert into pgmq.q_flowbuilder_tasks (vt, message)
        select case when v_shut is null then p.place
               else flowbuilder.clear_place(p.place, v_shut) end,
               jsonb_build_object('task', id)
        from next cross join lateral flowbuilder.queue_place(v_now, v_priority, element) as p (place)
        order by id
        returning msg_id, (message ->> 'task')::bigint as task_id
    )
    update flowbuilder.tasks t
    set status = 'queued', available_at = v_now, message_id = s.msg_id
    from sent s where t.id = s.task_id;
end
$$;
