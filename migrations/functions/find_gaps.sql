-- The widest gaps of the queue, at most eight, as far as its first two thousand messages tell: open
-- ranges of places without a message, up to where the lowest class stands now. Each leaves the second
-- before the message behind it to those who are put there. What is known to be empty is not looked at
-- again.
create or replace function flowbuilder.find_gaps(p_now timestamptz) returns tstzmultirange
language plpgsql set search_path = ''
as $$
declare
    v_end    timestamptz := flowbuilder.queue_place(p_now, -1, 0) - interval '2 seconds';
    v_places timestamptz[];
    v_gaps   tstzmultirange;
begin
    v_places := array(
        select q.vt from flowbuilder.queue_stretches(v_end) s
        cross join lateral (
            select m.vt from pgmq.q_flowbuilder_tasks m
            where m.vt >= s.since and m.vt <= s.until order by m.vt limit 2000) q
        limit 2000);
    if cardinality(v_places) = 2000 then
        v_end := v_places[2000];
    end if;
    v_places := timestamptz 'epoch' || v_places || v_end;
    select range_agg(tstzrange(p.place, p.next, '()')) into v_gaps
    from (select place, lead(place) over (order by place) - interval '1001 milliseconds' as next
          from unnest(v_places) place) p
    where p.next > p.place;
    return coalesce((
        select range_agg(w.gap) from (
            select gap from unnest(v_gaps - flowbuilder.growing_places(p_now)) gap
            where upper(gap) - lower(gap) > interval '1 second'
            order by upper(gap) - lower(gap) desc limit 8) w), '{}');
end
$$;
