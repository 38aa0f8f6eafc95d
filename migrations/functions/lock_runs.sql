-- Lock runs in the order of their ids, each once.
create or replace function flowbuilder.lock_runs(p_runs uuid[]) returns uuid[]
language plpgsql set search_path = ''
as $$
begin
    if cardinality(p_runs) = 0 then
        return '{}';
    end if;
    return array(select r.id from flowbuilder.runs r
                 where r.id = any (p_runs) order by r.id for update);
end
$$;
