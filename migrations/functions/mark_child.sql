-- Mark the step that waited for a child run, if any of the child's data is from outside: its input, or
-- what one of its steps gave.
create or replace function flowbuilder.mark_child(p_child uuid, p_task flowbuilder.tasks)
returns void
language sql set search_path = ''
as $$
    insert into flowbuilder.run_marks (run_id, mark)
    select p_task.run_id, 'steps.' || p_task.step_id
    where exists (select from flowbuilder.run_marks m where m.run_id = p_child)
       or exists (select from flowbuilder.runs r
                  join flowbuilder.flow_versions v on v.id = r.version_id
                  where r.id = p_child and v.outside <> '{}')
    on conflict do nothing
$$;
