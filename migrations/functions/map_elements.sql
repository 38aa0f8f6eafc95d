-- The value that a mapped step goes over: a literal, a plain path into the run's input, or one
-- into the output of an earlier step. A step without an output of its own (skipped, forgiven, or
-- not ended when `one_success` did not wait for it) gives an empty array.
create or replace function flowbuilder.map_elements(p_place flowbuilder.place) returns json
language sql stable set search_path = ''
as $$
    select case
        when w.root is null then w.literal
        when w.root = 'input' then r.input #> w.path
        when s.status <> 'completed' or s.error is not null then '[]'
        else s.output #> w.path
    end
    from flowbuilder.runs r
    join flowbuilder.version_steps v
      on v.version_id = r.version_id and v.position = p_place.position
    cross join lateral json_to_record(v.for_each)
        as w (literal json, root text, position integer, path text[])
    left join flowbuilder.run_steps s on s.run_id = r.id and s.position = w.position
    where r.id = p_place.run_id
$$;
