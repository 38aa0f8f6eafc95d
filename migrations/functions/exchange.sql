-- The worker's one round trip: report outcomes, extend what is held, lease more. One transaction.
-- `p_held` is [[task_id, fence], …]; the answer is described by executor/records.py. Leases are
-- extended last: it takes rows of runs that are not locked here, so nothing may be waited for after.
-- Outcomes are taken apart once; what json keeps and nobody could read is refused by that.
create or replace function flowbuilder.exchange(
    p_worker uuid, p_held jsonb, p_outcomes json, p_free integer, p_lease_seconds double precision
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_now      timestamptz := flowbuilder.now();
    v_lease    interval := make_interval(secs => p_lease_seconds);
    v_outcomes flowbuilder.outcome[];
    v_runs     uuid[];
    v_verdicts json;
    v_unheard  bigint[];
    v_claimed  bigint[];
    v_lost     jsonb;
    v_due      double precision;
begin
    perform flowbuilder.greet_worker(p_worker);
    v_outcomes := array(
        select o from json_populate_recordset(null::flowbuilder.outcome, p_outcomes) o);
    v_runs := flowbuilder.lock_runs(
        flowbuilder.reported_runs(v_outcomes)
        || flowbuilder.visible_runs(p_worker, p_free, v_now));
    v_verdicts := flowbuilder.apply_outcomes(p_worker, v_outcomes);
    v_unheard := flowbuilder.unheard_tasks(p_worker, p_held);
    v_claimed := flowbuilder.claim_tasks(p_worker, p_free, v_lease, v_runs);
    v_lost := flowbuilder.extend(p_worker, p_held || coalesce((
        select jsonb_agg(jsonb_build_array(t.id, t.fence))
        from flowbuilder.tasks t where t.id = any (v_unheard)), '[]'), v_lease);
    -- What goes to other runs can go now: a parent need not wait for the next round of upkeep.
    select case when exists (select from flowbuilder.outbox) then 0
           else (select min(o.delay_seconds) from unnest(v_outcomes) o where o.kind = 'retry') end
    into v_due;
    return json_build_object(
        'tasks', flowbuilder.lease_payload(v_unheard || v_claimed, v_lease),
        'verdicts', v_verdicts,
        'lost', v_lost,
        'touched', v_runs,
        'ready', cardinality(flowbuilder.visible_runs(
            p_worker, 1, flowbuilder.now())) > 0,
        'next_due_seconds', v_due);
end
$$;
