-- The places that new work is about to take, two stretches for each class of priority: where its first
-- ones and the ends of large maps stand now, and in the next minute and a half. No gap may hold one of
-- them, so that no class is overtaken, and no map's element by those that are admitted after it.
create or replace function flowbuilder.growing_places(p_now timestamptz) returns tstzmultirange
language sql stable set search_path = ''
as $$
    select range_agg(tstzrange(p.place - interval '2 seconds', p.place + interval '90 seconds', '[]'))
    from generate_series(-1, 1) as c (priority)
    cross join unnest(array[0, 1000]) as e (rank)
    cross join lateral flowbuilder.queue_place(p_now, c.priority, e.rank) as p (place)
$$;
