-- The given gaps, into which nobody is put any more, without the places of those that came before. The
-- few that did are what the gap is parted by; `p_known` alone is left where they are many.
create or replace function flowbuilder.empty_gaps(p_shut tstzmultirange, p_known tstzmultirange)
returns tstzmultirange
language plpgsql set search_path = ''
as $$
declare
    v_places timestamptz[] := array(
        select q.vt from unnest(p_shut - p_known) g
        cross join lateral (
            select m.vt from pgmq.q_flowbuilder_tasks m
            where m.vt >= lower(g) and m.vt <= upper(g) and m.vt <@ g order by m.vt limit 50) q
        limit 50);
begin
    if cardinality(v_places) = 50 then
        return p_known;
    end if;
    return p_shut - coalesce((select range_agg(
        tstzrange(p - interval '1001 milliseconds', p, '[]')) from unnest(v_places) p), '{}');
end
$$;
