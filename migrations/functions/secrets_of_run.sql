-- The sealed secrets of the workspace that a run belongs to.
create or replace function flowbuilder.secrets_of_run(p_run uuid)
returns setof flowbuilder.secrets
language sql stable set search_path = ''
as $$
    select s.* from flowbuilder.secrets s
    join flowbuilder.runs r on r.workspace_id = s.workspace_id
    where r.id = p_run
    order by s.name
$$;
