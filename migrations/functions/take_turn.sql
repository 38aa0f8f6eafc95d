-- An exchange of any number of outcomes, in as many statements as one takes. The runs that are reported
-- about are locked first, in the order of their ids; what is looked for then skips what others have
-- locked, so nothing is waited for. `p_said` are the outcomes as they came.
create or replace function flowbuilder.take_turn(
    p_worker uuid, p_tools text[], p_held jsonb, p_said json, p_outcomes flowbuilder.outcome[],
    p_free integer, p_lease interval, p_budgets boolean
) returns json
language plpgsql set search_path = ''
as $$
declare
    v_now      timestamptz;
    v_closed   bigint[];
    v_leased   bigint[];
    v_claimed  bigint[];
    v_poisoned bigint[];
    v_unheard  bigint[];
    v_events   flowbuilder.event_draft[];
    v_started  flowbuilder.event_draft[];
    v_ended    flowbuilder.place[];
    v_mapped   flowbuilder.place[];
    v_barred   flowbuilder.place[];
    v_over     uuid[];
    v_finish   uuid[];
    v_room     integer := p_free;
    v_denied   json;
    v_head     timestamptz;
    v_admitted boolean;
    v_lost     jsonb;
    v_broke    uuid[] := case when p_budgets then '{}' end;
begin
    if p_outcomes is not null then
        perform flowbuilder.lock_runs(array(select o.run_id from unnest(p_outcomes) o));
        v_broke := case when p_budgets then flowbuilder.charge(p_worker, p_said) end;
    end if;
    v_now := flowbuilder.now();  -- nothing begins before what it waited for has ended
    v_head := case when p_free > 0 then flowbuilder.queue_head(p_worker, p_tools, v_now) end;
    if p_outcomes is not null then
        select * into v_closed, v_leased, v_events, v_ended, v_mapped, v_barred, v_admitted
        from flowbuilder.report(p_worker, p_tools, p_outcomes, p_free, v_head, v_now, p_lease);
        v_room := p_free - coalesce(cardinality(v_leased), 0);
        perform flowbuilder.free_slots(v_closed);
    end if;
    if v_room > 0 and (v_head is not null or v_admitted or flowbuilder.has_limits()) then
        select * into v_claimed, v_started, v_poisoned
        from flowbuilder.claim(p_worker, p_tools, v_room, p_lease);
        v_leased := v_leased || v_claimed;
        v_events := v_events || v_started;
    end if;
    if v_broke is not null and v_leased is not null then
        select * into v_leased, v_events, v_broke
        from flowbuilder.count_starts(v_leased, v_events, v_broke);
    end if;
    if v_events is not null then
        select * into v_over, v_finish from flowbuilder.record_turn(v_events, v_ended, v_now);
        if v_finish is not null then
            v_leased := v_leased || flowbuilder.start_finish(v_finish, v_now, p_worker,
                p_free - coalesce(cardinality(v_leased), 0), p_lease);
        end if;
    end if;
    if v_leased is not null then
        insert into flowbuilder.leases (worker_id, until, tasks)
        values (p_worker, v_now + p_lease, v_leased);
    end if;
    v_denied := flowbuilder.close_turn(
        p_worker, p_outcomes, v_closed, v_over, v_mapped, v_barred, v_poisoned, v_broke);
    if p_held is not null then
        select * into v_lost, v_unheard from flowbuilder.hold(
            p_worker, p_held, coalesce(v_leased, '{}'), v_now, p_lease);
    end if;
    return json_build_object(
        'tasks', flowbuilder.lease_payload(v_leased || v_unheard),
        'denied', v_denied, 'lost', v_lost, 'over', v_broke, 'due', exists (select from flowbuilder.outbox),
        'ready', flowbuilder.is_claimable(p_worker, p_tools, flowbuilder.now()),
        'elsewhere', (v_admitted or v_mapped is not null) and flowbuilder.is_queued(flowbuilder.now()),
        'opens_at', (select s.wake_at from flowbuilder.limit_slots s
                     where s.waiting and s.wake_at > v_now order by s.wake_at limit 1), 'at', v_now,
        'ended', null);
end
$$;
