-- live → stopped or dead for one worker; returns the runs touched.
create or replace function flowbuilder.retire_worker(p_worker uuid, p_status text) returns uuid[]
language sql set search_path = ''
as $$
    select flowbuilder.retire_workers(array[p_worker], p_status)
$$;
