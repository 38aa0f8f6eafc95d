-- As find_work, where there are limits: only what may start, with its places taken. What may not
-- leaves the queue, so it is looked at once and what stands behind it is reached in the same call.
create or replace function flowbuilder.find_allowed(
    p_worker uuid, p_tools text[], p_limit integer, p_now timestamptz,
    out tasks bigint[], out runs uuid[]
)
language plpgsql set search_path = ''
as $$
declare
    v_found   bigint[];
    v_locked  uuid[];
    v_granted bigint[];
    v_blocked bigint[];
    v_look    integer := p_limit;
begin
    for v_round in 1 .. 20 loop
        perform flowbuilder.wake_slots(p_now, 100);
        select * into v_found, v_locked
        from flowbuilder.find_apart(p_worker, p_tools, v_look, p_now, coalesce(tasks, '{}'));
        exit when v_found is null;
        select * into v_granted, v_blocked from flowbuilder.grant_slots(
            v_found, v_locked, p_limit - coalesce(cardinality(tasks), 0), p_now);
        tasks := tasks || v_granted;
        runs := runs || v_locked;
        exit when v_blocked is null or cardinality(tasks) >= p_limit;
        v_look := p_limit + 200;
    end loop;
end
$$;
