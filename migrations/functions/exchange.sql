-- The worker's one round trip: report outcomes, extend what is held, lease more. One transaction.
-- `p_held` is [[task_id, fence], …]; the answer is described by executor/records.py. Leases are
-- extended last: it takes rows of runs that are not locked here, so nothing may be waited for after.
create or replace function flowbuilder.exchange(
    p_worker uuid, p_held jsonb, p_outcomes jsonb, p_free integer, p_lease_seconds double precision
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_now      timestamptz := flowbuilder.now();
    v_lease    interval := make_interval(secs => p_lease_seconds);
    v_runs     uuid[];
    v_verdicts jsonb;
    v_unheard  bigint[];
    v_claimed  bigint[];
    v_lost     jsonb;
    v_due      double precision;
begin
    perform flowbuilder.greet_worker(p_worker);
    v_runs := flowbuilder.lock_runs(
        flowbuilder.reported_runs(p_outcomes)
        || flowbuilder.visible_runs(p_worker, p_free, v_now));
    v_verdicts := flowbuilder.apply_outcomes(p_worker, p_outcomes);
    v_unheard := flowbuilder.unheard_tasks(p_worker, p_held);
    v_claimed := flowbuilder.claim_tasks(p_worker, p_free, v_lease, v_runs);
    v_lost := flowbuilder.extend(p_worker, p_held || coalesce((
        select jsonb_agg(jsonb_build_array(t.id, t.fence))
        from flowbuilder.tasks t where t.id = any (v_unheard)), '[]'), v_lease);
    select min((o ->> 'delay_seconds')::double precision) into v_due
    from jsonb_array_elements(p_outcomes) o where o ->> 'kind' = 'retry';
    return jsonb_build_object(
        'tasks', flowbuilder.lease_payload(v_unheard || v_claimed, v_lease),
        'verdicts', v_verdicts,
        'lost', v_lost,
        'touched', to_jsonb(v_runs),
        'ready', cardinality(flowbuilder.visible_runs(
            p_worker, 1, flowbuilder.now())) > 0,
        'next_due_seconds', v_due);
end
$$;
