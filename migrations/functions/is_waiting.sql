-- Whether a run waits to be let in, also while it is paused.
create or replace function flowbuilder.is_waiting(p_run uuid) returns boolean
language sql stable set search_path = ''
as $$
    select exists (select from flowbuilder.admissions a
                   where a.run_id = p_run and a.state <> 'admitted')
$$;
