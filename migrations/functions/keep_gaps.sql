-- Write down the gaps of the queue: where nobody may be put, where nobody is, and, as claims read it,
-- the stretches between these. The caller holds the row's lock.
create or replace function flowbuilder.keep_gaps(
    p_shut tstzmultirange, p_empty tstzmultirange, p_writers text[], p_dead bigint,
    p_now timestamptz
) returns void
language sql set search_path = ''
as $$
    update flowbuilder.queue_gaps
    set shut = p_shut, empty = p_empty, writers = p_writers, dead = p_dead, seen_at = p_now,
        made_by = pg_current_xact_id(),
        edge = coalesce(upper(p_shut), '-infinity'),
        since = '-infinity'::timestamptz || array(
            select upper(r) from unnest(p_empty) r order by 1),
        until = array(select lower(r) from unnest(p_empty) r order by 1)
                || 'infinity'::timestamptz
    where single
$$;
