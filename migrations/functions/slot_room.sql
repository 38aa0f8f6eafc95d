-- How many further tasks may start under a slot now, null for any number. What a claim in this
-- transaction has granted, but not written to its task yet, counts.
create or replace function flowbuilder.slot_room(
    p_slot flowbuilder.limit_slots, p_now timestamptz
) returns integer
language plpgsql stable set search_path = ''
as $$
begin
    return least(
        case when p_slot.concurrency is not null then p_slot.concurrency - (
            select count(*) from flowbuilder.slot_uses u
            join flowbuilder.tasks t on t.id = u.task_id
            where u.slot_id = p_slot.id
              and (t.status = 'running' and t.fence = u.fence
                   or t.status = 'queued' and t.fence + 1 = u.fence)) end,
        case when p_slot.rate_count is not null then p_slot.rate_count - (
            select coalesce(sum(g.n), 0) from unnest(p_slot.granted_at, p_slot.granted) g (at, n)
            where g.at > p_now - make_interval(secs => p_slot.rate_seconds)) end);
end
$$;
