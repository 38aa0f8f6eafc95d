-- Take queued tasks out of the queue, each until the (locked) slot that stands beside it has room. It
-- keeps its place for then.
create or replace function flowbuilder.block_tasks(
    p_tasks bigint[], p_slots bigint[], p_now timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
    with gone as (
        delete from pgmq.q_flowbuilder_tasks q
        using flowbuilder.tasks t where t.id = any (p_tasks) and q.msg_id = t.message_id
        returning (q.message ->> 'task')::bigint as task_id, q.vt
    )
    update flowbuilder.tasks t set blocked_by = g.slot, blocked_place = q.vt, message_id = null
    from gone q
    join unnest(p_tasks, p_slots) g (id, slot) on g.id = q.task_id
    where t.id = q.task_id;
    update flowbuilder.limit_slots s
    set waiting = true, wake_at = flowbuilder.slot_opens_at(s, p_now)
    where s.id = any (p_slots);
end
$$;
