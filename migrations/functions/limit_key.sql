-- The value that a step's limit counts by, as text. Long values are told apart by their digest.
create or replace function flowbuilder.limit_key(p_task bigint, p_limits json) returns text
language sql stable set search_path = ''
as $$
    select case when length(k.key) > 200 then md5(k.key) else k.key end
    from (
        select coalesce(case w.root
            when 'literal' then w.literal
            when 'input' then r.input #> w.path
            when 'item' then t.item #> w.path
            when 'steps' then (
                select s.output #> w.path from flowbuilder.run_steps s
                where s.run_id = t.run_id and s.position = w.position)
            end, 'null')::text as key
        from flowbuilder.tasks t
        join flowbuilder.runs r on r.id = t.run_id
        cross join lateral json_to_record(p_limits -> 'key')
            as w (root text, literal json, position integer, path text[])
        where t.id = p_task) k
$$;
