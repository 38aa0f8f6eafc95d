-- A place in the queue that is in no gap: in the second behind the gap's end, the sooner the sooner it
-- was in the gap. Nobody stands in a gap, so nobody is overtaken, and whoever is put there keeps the
-- order: among those of the last minutes to a millisecond. `p_shut` is what shut_places has said.
create or replace function flowbuilder.clear_place(p_place timestamptz, p_shut tstzmultirange)
returns timestamptz
language plpgsql immutable set search_path = ''
as $$
declare
    v_end timestamptz;
begin
    if not p_place <@ p_shut then
        return p_place;
    end if;
    select upper(r) into v_end from unnest(p_shut) r where p_place <@ r;
    return v_end + interval '1 second' * (600 / (600 + extract(epoch from v_end - p_place)));
end
$$;
