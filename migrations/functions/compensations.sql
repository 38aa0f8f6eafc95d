-- What undoes the completed steps of a run, in the order in which it is done: the latest step first.
-- The node of a compensation stands at -2 - (the position of its step); so does its task, once it has
-- one. A step whose failure was forgiven has done nothing that could be undone.
create or replace function flowbuilder.compensations(p_run uuid)
returns table (step text, tool text, node_id bigint, "position" integer, task_id bigint,
               status text, error jsonb, place bigint)
language sql stable set search_path = ''
as $$
    select s.step_id, n.tool, n.id, n.position, t.id, t.status, t.error,
        row_number() over (order by s.finished_at desc, s.position desc)
    from flowbuilder.runs r
    join flowbuilder.run_steps s on s.run_id = r.id
    join flowbuilder.version_steps n
      on n.version_id = r.version_id and n.position = -2 - s.position
    left join flowbuilder.tasks t on t.run_id = r.id and t.position = n.position
    where r.id = p_run and s.status = 'completed' and s.error is null
$$;
