-- Where in the queue to look, in order: the visible places without the gaps of which it is known that
-- nobody stands there (watch_gaps.sql). One stretch from one end to the other, as long as there are no
-- gaps. What was put behind a gap is visible even if the clock went back since then. Without settings
-- of its own, so that the planner puts the query in the place of the call.
create or replace function flowbuilder.queue_stretches(p_now timestamptz)
returns table (since timestamptz, until timestamptz)
language sql stable rows 2
as $$
    select s.since, least(s.until, greatest(p_now, g.edge))
    from flowbuilder.queue_gaps g cross join unnest(g.since, g.until) as s (since, until)
    where g.single
$$;
