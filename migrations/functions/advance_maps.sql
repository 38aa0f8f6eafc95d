-- Carry on mapped steps of which elements have just ended, one place for each of them: admit as
-- many further elements, or complete the steps in which none remains. Returns the steps that ended.
create or replace function flowbuilder.advance_maps(p_elements flowbuilder.place[])
returns flowbuilder.place[]
language plpgsql set search_path = ''
as $$
declare
    v_map   record;
    v_ended flowbuilder.place[] := '{}';
begin
    for v_map in
        select e.run_id, e.position, count(*)::integer as n, min(s.remaining_tasks) as remaining
        from unnest(p_elements) e
        join flowbuilder.run_steps s on s.run_id = e.run_id and s.position = e.position
        where s.status = 'running'
        group by e.run_id, e.position order by e.run_id, e.position
    loop
        if v_map.remaining = 0 then
            v_ended := v_ended || (v_map.run_id, v_map.position)::flowbuilder.place;
        else
            perform flowbuilder.admit((v_map.run_id, v_map.position)::flowbuilder.place, v_map.n);
        end if;
    end loop;
    perform flowbuilder.complete_steps(v_ended, '{}');
    return v_ended;
end
$$;
