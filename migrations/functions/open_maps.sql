-- pending → running for mapped steps that are ready, in runs that are still open: their elements
-- become tasks. Returns the steps that ended in the same moment, because there were no elements.
create or replace function flowbuilder.open_maps(
    p_places flowbuilder.place[], p_now timestamptz
) returns flowbuilder.place[]
language plpgsql set search_path = ''
as $$
declare
    v_opened flowbuilder.place[];
    v_place  flowbuilder.place;
    v_ended  flowbuilder.place[] := '{}';
begin
    if cardinality(p_places) = 0 then
        return '{}';
    end if;
    with opened as (
        update flowbuilder.run_steps s set status = 'running', started_at = p_now
        from unnest(p_places) p, flowbuilder.runs r
        where s.run_id = p.run_id and s.position = p.position and s.status = 'pending'
          and r.id = p.run_id and (r.finished_at is null) is true
        returning s.run_id, s.position
    )
    select array_agg((o.run_id, o.position)::flowbuilder.place order by o.run_id, o.position)
    into v_opened from opened o;
    foreach v_place in array coalesce(v_opened, '{}') loop
        if flowbuilder.start_map(v_place) then
            v_ended := v_ended || v_place;
        end if;
    end loop;
    return v_ended;
end
$$;
