-- Open runs with a hold past its deadline → failed: who was to add more to them is gone. Runs that
-- somebody else has locked are left for the next call.
create or replace function flowbuilder.expire_holds(p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_now     timestamptz := flowbuilder.now();
    v_run     uuid;
    v_hold    flowbuilder.run_holds;
    v_touched uuid[] := '{}';
begin
    for v_run in
        select distinct d.run_id from (
            select h.run_id from flowbuilder.run_holds h
            where h.deadline_at <= v_now order by h.deadline_at limit p_limit) d
        order by d.run_id
    loop
        perform 1 from flowbuilder.runs r where r.id = v_run for update skip locked;
        continue when not found;
        select * into v_hold from flowbuilder.run_holds h
        where h.run_id = v_run and h.deadline_at <= v_now order by h.deadline_at, h.owner limit 1;
        continue when not found;
        perform flowbuilder.end_run(v_run, 'failed', null, jsonb_build_object(
            'code', 'plan_abandoned', 'owner', v_hold.owner, 'message', format(
                'the run was held open (%s), but not finished or extended by %s',
                coalesce(v_hold.reason, v_hold.owner), v_hold.deadline_at)));
        v_touched := v_touched || v_run;
    end loop;
    return v_touched;
end
$$;
