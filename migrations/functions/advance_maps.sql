-- Carry on mapped steps of which elements have just ended, one place for each of them: admit as
-- many further elements, or complete the steps in which none remains. Returns the steps that ended.
create or replace function flowbuilder.advance_maps(p_elements flowbuilder.place[])
returns flowbuilder.place[]
language plpgsql set search_path = ''
as $$
declare
    v_map   record;
    v_more  integer;
    v_ended flowbuilder.place[] := '{}';
begin
    for v_map in
        select e.run_id, e.position, count(*)::integer as n, min(s.remaining_tasks) as remaining,
            min(s.task_count - s.remaining_tasks) as done, min(v.concurrency) as concurrency
        from unnest(p_elements) e
        join flowbuilder.run_steps s on s.run_id = e.run_id and s.position = e.position
        join flowbuilder.version_steps v on v.id = s.node_id
        where s.status = 'running'
        group by e.run_id, e.position order by e.run_id, e.position
    loop
        if v_map.remaining = 0 then
            v_ended := v_ended || (v_map.run_id, v_map.position)::flowbuilder.place;
            continue;
        end if;
        v_more := flowbuilder.elements_due(v_map.concurrency, v_map.done, v_map.n);
        if v_more > 0 then
            perform flowbuilder.admit((v_map.run_id, v_map.position)::flowbuilder.place, v_more);
        end if;
    end loop;
    perform flowbuilder.complete_steps(v_ended, '{}');
    return v_ended;
end
$$;
