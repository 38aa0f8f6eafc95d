-- As find_work, with one suspect at most among what this worker holds and gets (`p_without`: what it
-- gets besides). Of those found, the first one stays.
create or replace function flowbuilder.find_apart(
    p_worker uuid, p_tools text[], p_limit integer, p_now timestamptz, p_without bigint[],
    out tasks bigint[], out runs uuid[]
)
language plpgsql set search_path = ''
as $$
declare
    v_suspects bigint[];
    v_found    bigint[];
    v_held     boolean;
begin
    select * into tasks, runs
    from flowbuilder.find_work(p_worker, p_tools, p_limit, p_now, p_without);
    if tasks is null or not exists (select from flowbuilder.suspects) then
        return;
    end if;
    select array_agg(s.task_id),
           coalesce(bool_or(s.worker_id = p_worker or s.task_id = any (p_without)), false)
    into v_suspects, v_held from flowbuilder.open_suspects() s;
    v_found := array(
        select f.id from unnest(tasks) with ordinality f (id, place)
        where f.id = any (v_suspects) order by f.place);
    if cardinality(v_found) > (not v_held)::integer then
        select * into tasks, runs
        from flowbuilder.find_work(p_worker, p_tools, p_limit, p_now, p_without
            || case when v_held then v_suspects else array_remove(v_suspects, v_found[1]) end);
    end if;
end
$$;
