-- queued → running for up to `p_limit` visible tasks of the locked runs, and for tasks whose lease
-- has run out (its own the worker keeps). Each claim raises the fence. A task that was claimed too
-- often without an outcome has taken its workers down: it fails as poison instead.
create or replace function flowbuilder.claim_tasks(
    p_worker uuid, p_limit integer, p_lease interval, p_runs uuid[]
) returns bigint[]
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_tools  text[];
    v_max    integer;
    v_chosen bigint[];
    v_poison flowbuilder.task_result[];
    v_events flowbuilder.event_draft[];
begin
    if p_limit <= 0 or cardinality(p_runs) = 0 then
        return '{}';
    end if;
    select w.tools, w.max_claims into v_tools, v_max
    from flowbuilder.workers w where w.id = p_worker;
    select array_agg(c.id) filter (where c.claims < v_max),
           array_agg((c.id, 'failed', null, jsonb_build_object('code', 'poison', 'message', format(
               'claimed %s times without an outcome: it takes its workers down', c.claims)), null
               )::flowbuilder.task_result) filter (where c.claims >= v_max)
    into v_chosen, v_poison
    from (
        select f.id, f.claims
        from pgmq.q_flowbuilder_tasks q
        cross join lateral (
            select t.id, t.claims
            from flowbuilder.tasks t
            join flowbuilder.runs r on r.id = t.run_id
            where t.id = (q.message ->> 'task')::bigint and t.run_id = any (p_runs)
              and r.status in ('queued', 'running')
              and (t.tool is null or t.tool = any (v_tools))
              and (t.owner_id is null or t.owner_id = p_worker)
              and (t.status = 'queued' or t.status = 'running' and t.lease_until <= v_now
                   and t.worker_id <> p_worker)
            limit 1) f
        where q.vt <= v_now
        order by q.msg_id limit p_limit for update of q skip locked
    ) c;
    perform flowbuilder.finish_tasks(v_poison);
    if v_chosen is null then
        return '{}';
    end if;
    perform flowbuilder.begin_runs(array(
        select distinct t.run_id from flowbuilder.tasks t where t.id = any (v_chosen)));
    with claimed as (
        update flowbuilder.tasks t
        set status = 'running', worker_id = p_worker, lease_until = v_now + p_lease,
            fence = t.fence + 1, claims = t.claims + 1, started_at = v_now,
            attempt = t.attempt + case when t.status = 'queued' then 1 else 0 end
        where t.id = any (v_chosen)
          and (t.status = 'queued' or t.status = 'running' and t.lease_until <= v_now)
        returning t.*
    ),
    hidden as (
        update pgmq.q_flowbuilder_tasks q set vt = c.lease_until, read_ct = q.read_ct + 1
        from claimed c where q.msg_id = c.message_id
    )
    select array_agg(c.id order by c.id), array_agg((c.run_id, 'task_started', s.step_id, c.id,
        c.attempt, case when c.element < 0
            then json_build_object('task_id', c.id, 'workflow_id', c.run_id,
                'step_name', s.step_id)
            else json_build_object('task_id', c.id, 'workflow_id', c.run_id,
                'step_name', s.step_id, 'index', c.element) end
        )::flowbuilder.event_draft order by c.id) filter (where c.kind = 'step')
    into v_chosen, v_events
    from claimed c
    left join flowbuilder.run_steps s on s.run_id = c.run_id and s.position = c.position;
    if v_events is not null then
        perform flowbuilder.append_events(v_events);
    end if;
    return coalesce(v_chosen, '{}');
end
$$;
