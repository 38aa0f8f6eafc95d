-- queued → running for up to `p_limit` visible tasks that this worker can do, in runs that nobody
-- else has locked: nothing is waited for. Each claim raises the fence and takes the message away; a
-- task whose worker is lost gets a new one. A task that was claimed too often without an outcome
-- takes its workers down and is returned in `poisoned` instead.
create or replace function flowbuilder.claim(
    p_worker uuid, p_tools text[], p_limit integer, p_lease interval,
    out leased bigint[], out events flowbuilder.event_draft[], out poisoned bigint[]
)
language plpgsql set search_path = ''
as $$
declare
    v_now   timestamptz := flowbuilder.now();  -- later than what this call has queued
    v_max   integer;
    v_front bigint[];
    v_runs  uuid[];
begin
    if flowbuilder.has_limits() then
        select * into v_front, v_runs
        from flowbuilder.find_allowed(p_worker, p_tools, p_limit, v_now);
    elsif exists (select from flowbuilder.suspects) then
        select * into v_front, v_runs
        from flowbuilder.find_apart(p_worker, p_tools, p_limit, v_now, '{}');
    else
        select * into v_front, v_runs
        from flowbuilder.find_work(p_worker, p_tools, p_limit, v_now, '{}');
    end if;
    if v_front is null then
        return;
    end if;
    select w.max_claims into v_max from flowbuilder.workers w where w.id = p_worker;
    with claimed as (
        update flowbuilder.tasks t
        set status = 'running', worker_id = p_worker, lease_until = v_now + p_lease,
            fence = t.fence + 1, claims = t.claims + 1, attempt = t.attempt + 1,
            started_at = v_now, message_id = null
        from flowbuilder.tasks o
        where t.id = any (v_front) and o.id = t.id and (t.status = 'queued') is true
          and (t.run_id = any (v_runs)) is true
        returning t.id, t.run_id, t.step_id, t.attempt, t.kind, t.element, t.claims, o.message_id
    ),
    taken as (
        delete from pgmq.q_flowbuilder_tasks q  -- by keys, see drop_messages.sql
        where q.msg_id = any (array(select c.message_id from claimed c))
    )
    select array_agg(c.id order by c.id) filter (where c.claims <= v_max),
           array_agg((c.run_id, 'task_started', c.step_id, c.id, c.attempt,
               case when c.element >= 0 then json_build_object('index', c.element) end
               )::flowbuilder.event_draft order by c.id)
               filter (where c.kind in ('step', 'compensate') and c.claims <= v_max),
           array_agg(c.id) filter (where c.claims > v_max)
    into leased, events, poisoned from claimed c;
end
$$;
