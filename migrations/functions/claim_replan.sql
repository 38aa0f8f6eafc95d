-- Give one run of the workspace that is to be planned anew, and that nobody is at, to a re-planner:
-- the hold is its own from here on, for as long as it extends its lease. Who does not know the tool that
-- has failed (`p_tools` are names without versions) has another catalogue, and a run whose first plan
-- is still being written (client/early.py) is not looked at before that is whole. Answers {run_id,
-- number}, null when there is none. Runs that somebody else has locked are left for the next call.
create or replace function flowbuilder.claim_replan(
    p_workspace uuid, p_owner text, p_tools text[], p_lease_seconds double precision
) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_run    uuid;
    v_replan flowbuilder.replans;
begin
    for v_run in
        select p.run_id from flowbuilder.replans p
        join flowbuilder.runs r on r.id = p.run_id and r.workspace_id = p_workspace
        where p.status = 'open' and (p.lease_until is null or p.lease_until <= v_now)
          and p.deadline_at > v_now
          and not exists (select from flowbuilder.run_holds h
                          where h.run_id = p.run_id and h.owner like 'early:%')
          and exists (select from flowbuilder.version_steps n
                      where n.version_id = r.version_id and n.step_id = p.step_id
                        and (split_part(n.tool, '@', 1) = any (p_tools)
                             or n.tool like 'function.%'))
        order by p.requested_at, p.run_id limit 100
    loop
        perform 1 from flowbuilder.runs r where r.id = v_run for update skip locked;
        continue when not found;
        select * into v_replan from flowbuilder.replans p
        where p.run_id = v_run and p.status = 'open'
          and (p.lease_until is null or p.lease_until <= v_now) for update skip locked;
        continue when not found;
        update flowbuilder.run_holds set owner = p_owner
        where run_id = v_run and owner = v_replan.owner;
        update flowbuilder.replans
        set owner = p_owner, tries = tries + 1,
            lease_until = v_now + make_interval(secs => p_lease_seconds)
        where run_id = v_run and number = v_replan.number;
        return jsonb_build_object('run_id', v_run, 'number', v_replan.number);
    end loop;
    return null;
end
$$;
