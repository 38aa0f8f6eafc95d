-- Make the finishing task of each of the (locked) runs, once. The first `p_keep` are leased to the
-- given worker at once, the others are queued. Returns what was leased.
create or replace function flowbuilder.start_finish(
    p_runs uuid[], p_now timestamptz, p_worker uuid, p_keep integer, p_lease interval
) returns bigint[]
language plpgsql set search_path = ''
as $$
declare
    v_kept   bigint[];
    v_queued bigint[];
begin
    with made as (
        insert into flowbuilder.tasks (run_id, position, kind, status, available_at, worker_id,
            lease_until, fence, claims, attempt, started_at)
        select g.id, -1, 'finish', case when k.kept then 'running' else 'queued' end,
            p_now, case when k.kept then p_worker end,
            case when k.kept then p_now + p_lease end, k.kept::integer, k.kept::integer,
            k.kept::integer, case when k.kept then p_now end
        from unnest(p_runs) with ordinality as g (id, place)
        cross join lateral (select g.place <= p_keep as kept) k
        order by g.place
        on conflict do nothing
        returning id, status
    )
    select array_agg(m.id) filter (where m.status = 'running'),
           array_agg(m.id) filter (where m.status = 'queued')
    into v_kept, v_queued from made m;
    if v_queued is not null then
        perform flowbuilder.send_tasks(v_queued);
    end if;
    return v_kept;
end
$$;
