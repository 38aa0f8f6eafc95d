-- Let runs in that wait in a workspace, as far as its limits have room, at most `p_limit`, in their
-- order. Only who has the gate's lock does, so no limit is ever exceeded. Runs that others have locked
-- are passed by and looked at again soon. Returns the runs let in.
create or replace function flowbuilder.admit_runs(p_workspace uuid, p_limit integer default 100)
returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_now   timestamptz;
    v_gate  flowbuilder.gates;
    v_first uuid[];
    v_runs  uuid[] := '{}';
begin
    select * into v_gate from flowbuilder.gates g where g.workspace_id = p_workspace for update;
    if v_gate.unsettled is not null then
        perform flowbuilder.adopt_runs(p_workspace, v_gate.unsettled);
    end if;
    v_now := flowbuilder.now();
    v_first := flowbuilder.next_admissions(p_workspace, v_now, p_limit);
    if v_first is not null then
        v_runs := array(
            select r.id from flowbuilder.runs r
            where r.id = any (v_first) and r.status in ('queued', 'running')
            order by array_position(v_first, r.id) for update skip locked);
        with counted as (
            update flowbuilder.admissions a set state = 'admitted'
            where a.run_id = any (v_runs) returning a.flow
        ),
        started as (
            select '' as flow, count(*) as n from counted
            union all select c.flow, count(*) from counted c group by c.flow
        )
        update flowbuilder.admission_limits l
        set level = flowbuilder.bucket_level(l, v_now) + s.n, at = v_now
        from started s
        where l.workspace_id = p_workspace and l.flow = s.flow and l.rate_count is not null;
        perform flowbuilder.let_in(array(  -- one that has failed may be undoing already
            select g.id from unnest(v_runs) with ordinality as g (id, place)
            join flowbuilder.runs r on r.id = g.id and r.status = 'queued' order by g.place));
    end if;
    update flowbuilder.gates g
    set wake_at = w.at
    from (select case
        when not exists (select from flowbuilder.admissions a
                         where a.workspace_id = p_workspace and a.state = 'waiting') then null
        when cardinality(v_first) >= p_limit then v_now
        when cardinality(v_runs) < cardinality(v_first) then v_now + interval '50 milliseconds'
        else least(v_now + interval '30 seconds', (
            select min(r.next_at) from flowbuilder.admission_rooms(p_workspace, v_now) r)) end as at) w
    where g.workspace_id = p_workspace and g.wake_at is distinct from w.at;
    return v_runs;
end
$$;
