-- Forget workers that have ended and were last seen before `p_before`, and in any case an hour ago:
-- until then one that was only slow may come back. Returns how many.
create or replace function flowbuilder.prune_workers(p_before timestamptz, p_dry boolean)
returns bigint
language plpgsql set search_path = ''
as $$
declare
    v_before timestamptz := least(p_before, flowbuilder.now() - interval '1 hour');
    v_gone   uuid[] := array(select w.id from flowbuilder.workers w
                             where w.status <> 'live' and w.last_seen_at < v_before);
begin
    if not p_dry then
        delete from flowbuilder.workers w where w.id = any (v_gone) and w.status <> 'live';
    end if;
    return cardinality(v_gone);
end
$$;
