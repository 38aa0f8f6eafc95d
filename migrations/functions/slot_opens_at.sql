-- When the rate of a slot lets the next task start: null when it does now, or there is none.
create or replace function flowbuilder.slot_opens_at(
    p_slot flowbuilder.limit_slots, p_now timestamptz
) returns timestamptz
language sql stable set search_path = ''
as $$
    select case when sum(g.n) >= p_slot.rate_count
           then min(g.at) + make_interval(secs => p_slot.rate_seconds) end
    from unnest(p_slot.granted_at, p_slot.granted) g (at, n)
    where g.at > p_now - make_interval(secs => p_slot.rate_seconds)
$$;
