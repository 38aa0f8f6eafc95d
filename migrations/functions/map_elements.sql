-- The value that a mapped step goes over: a literal, a plain path into the run's input, or one
-- into the output of an earlier step. A step without an output of its own (skipped, forgiven, or
-- not ended when `one_success` did not wait for it) gives an empty array.
create or replace function flowbuilder.map_elements(p_place flowbuilder.place) returns jsonb
language sql stable set search_path = ''
as $$
    select case
        when v.for_each ? 'literal' then v.for_each -> 'literal'
        when v.for_each ->> 'root' = 'input' then r.input #> w.path
        when s.status <> 'completed' or s.error is not null then '[]'
        else s.output #> w.path
    end
    from flowbuilder.runs r
    join flowbuilder.version_steps v
      on v.version_id = r.version_id and v.position = p_place.position
    cross join lateral (
        select array(select jsonb_array_elements_text(v.for_each -> 'path')) as path
    ) w
    left join flowbuilder.run_steps s
      on s.run_id = r.id and s.position = (v.for_each ->> 'position')::integer
    where r.id = p_place.run_id
$$;
