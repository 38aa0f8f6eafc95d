-- The runs of the tasks that outcomes are about.
create or replace function flowbuilder.reported_runs(p_outcomes flowbuilder.outcome[])
returns uuid[]
language plpgsql stable set search_path = ''
as $$
begin
    return (select coalesce(array_agg(distinct t.run_id), '{}')
    from unnest(p_outcomes) o
    join flowbuilder.tasks t on t.id = o.task_id);
end
$$;
