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
    v_now  timestamptz := flowbuilder.now();  -- later than what this call has queued
    v_max   integer;
    v_front bigint[];
    v_runs  uuid[];
begin
    select array_agg(c.id), array_agg(distinct c.run_id) into v_front, v_runs
    from (
        select f.id, f.run_id
        from pgmq.q_flowbuilder_tasks q
        cross join lateral (
            select t.id, t.run_id
            from flowbuilder.tasks t
            join flowbuilder.runs r on r.id = t.run_id
            where t.id = (q.message ->> 'task')::bigint and r.status in ('queued', 'running')
              and (t.tool is null or t.tool = any (p_tools))
              and (t.owner_id is null or t.owner_id = p_worker)
              and (t.status = 'queued') is true
            limit 1) f
        where q.vt <= v_now
        order by q.vt limit p_limit for update of q skip locked) c;
    if v_front is null then
        return;
    end if;
    v_runs := array(
        select r.id from flowbuilder.runs r
        where r.id = any (v_runs) and r.status in ('queued', 'running') for update skip locked);
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
        delete from pgmq.q_flowbuilder_tasks q using claimed c where q.msg_id = c.message_id
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
