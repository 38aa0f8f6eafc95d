-- Lock runs in the order of their ids, each once.
create or replace function flowbuilder.lock_runs(p_runs uuid[]) returns uuid[]
language sql set search_path = ''
as $$
    select coalesce(array_agg(l.id), '{}')
    from (select r.id from flowbuilder.runs r where r.id = any (p_runs) order by r.id for update) l
$$;
