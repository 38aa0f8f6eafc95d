-- Hold a run open: it does not complete while somebody who adds to it may still come. Who holds it
-- already moves the deadline on. A finishing task that is under way is taken back. Answers the
-- deadline: when it passes, the run fails as `plan_abandoned`.
create or replace function flowbuilder.hold_run(
    p_workspace uuid, p_run uuid, p_owner text, p_reason text, p_seconds double precision
) returns timestamptz
language plpgsql set search_path = ''
as $$
declare
    v_now timestamptz;
    v_new boolean;
    v_at  timestamptz;
begin
    perform flowbuilder.open_run(p_workspace, p_run, 'hold');
    v_now := flowbuilder.now();
    v_new := not exists (
        select from flowbuilder.run_holds h where h.run_id = p_run and h.owner = p_owner);
    insert into flowbuilder.run_holds as h (run_id, owner, reason, held_at, deadline_at)
    values (p_run, p_owner, p_reason, v_now, v_now + make_interval(secs => p_seconds))
    on conflict (run_id, owner) do update
    set reason = excluded.reason, deadline_at = excluded.deadline_at
    returning h.deadline_at into v_at;
    if v_new then
        update flowbuilder.runs set holds = holds + 1 where id = p_run;
        perform flowbuilder.withdraw_finish(p_run);
    end if;
    return v_at;
end
$$;
