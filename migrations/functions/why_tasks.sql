-- Why each open task of a run does not go on, those of one step with one cause together: how many
-- they are, and when the nearest of them began to wait and will go on. Elements of maps that are not
-- admitted yet are the business of why_steps.
create or replace function flowbuilder.why_tasks(p_run uuid, p_now timestamptz, p_depth integer)
returns table (code text, step text, task_id bigint, since timestamptz, until timestamptz,
               details jsonb)
language sql stable set search_path = '' set enable_seqscan = off
as $$
    with crew as materialized (select c.* from flowbuilder.crew(p_now) c),
    opened as materialized (
        select t.id, t.step_id, t.tool, t.owner_id, t.status, t.message_id, t.attempt,
            t.blocked_by, t.started_at,
            case when t.status = 'running' then t.worker_id else t.owner_id end as worker_id,
            t.available_at, t.lease_until, t.wait ->> 'kind' as kind
        from flowbuilder.tasks t
        where t.run_id = p_run and t.finished_at is null and t.status <> 'pending'
    ),
    hands as materialized (
        select k.tool, k.owner_id, count(c.id) as able,
               count(c.id) filter (where c.running < c.concurrency) as idle,
               sum(c.running) as running, sum(c.concurrency) as slots
        from (select distinct o.tool, o.owner_id from opened o where o.status = 'queued') k
        left join crew c on c.alive and (k.tool is null or k.tool = any (c.tools))
                         and (k.owner_id is null or k.owner_id = c.id)
        group by k.tool, k.owner_id
    ),
    judged as (
        select o.*, h.running, h.slots, case
            when o.status = 'waiting' then case o.kind when 'approval' then 'approval'
                when 'time' then 'time' when 'run' then 'child_run' else 'waiting' end
            when o.status = 'running' then
                case when o.lease_until > p_now and exists (
                    select from crew c where c.id = o.worker_id and c.alive)
                then 'leased' else 'worker_silent' end
            when o.owner_id is not null and h.able = 0 then case
                when flowbuilder.is_gone(o.owner_id) then 'function_gone' else 'worker_silent' end
            when o.message_id is null and o.blocked_by is null and o.available_at > p_now
            then 'retry_delayed'
            when not exists (select from crew c where c.alive) then 'no_worker'
            when h.able = 0 then 'no_worker_with_tool'
            when o.blocked_by is not null then 'limit_reached'
            when h.idle = 0 then 'workers_busy'
            else 'queued' end as code
        from opened o
        left join hands h on o.status = 'queued' and h.tool is not distinct from o.tool
                         and h.owner_id is not distinct from o.owner_id
    ),
    nearest as (
        select distinct on (j.code, j.step_id, j.tool, j.worker_id, j.blocked_by) j.*, count(*)
            over (partition by j.code, j.step_id, j.tool, j.worker_id, j.blocked_by) as tasks
        from judged j
        order by j.code, j.step_id, j.tool, j.worker_id, j.blocked_by, j.available_at, j.id
    )
    select case when n.code in ('workers_busy', 'queued') and k.outranked > 0 then 'outranked'
                else n.code end, n.step_id, n.id,
        case when n.status = 'queued' then least(n.available_at, p_now) else n.started_at end,
        case n.status when 'running' then n.lease_until
             when 'waiting' then n.available_at
             else case n.code when 'retry_delayed' then n.available_at
                  when 'limit_reached' then (l.details ->> 'next_at')::timestamptz end end,
        jsonb_build_object('tasks', n.tasks, 'tool', n.tool, 'attempt', n.attempt) || case
            when n.status = 'waiting' then flowbuilder.why_waiting(n.id, p_depth)
            when n.code in ('leased', 'worker_silent') then flowbuilder.why_held(n.worker_id)
            when n.code in ('function_gone', 'no_worker') then '{}'
            when n.code = 'limit_reached' then l.details
            when n.code = 'retry_delayed' then flowbuilder.why_retried(p_run, n.id)
            when n.code = 'no_worker_with_tool' then jsonb_build_object('live', (
                select coalesce(jsonb_agg(c.name order by c.name), '[]') from crew c where c.alive))
            else jsonb_build_object('running', n.running, 'slots', n.slots,
                'ahead', flowbuilder.why_behind(n.message_id, p_now), 'outranked', k.outranked,
                'lost', (select s.claims from flowbuilder.suspects s where s.task_id = n.id)) end
    from nearest n
    cross join lateral (select case when n.code in ('workers_busy', 'queued')
        then flowbuilder.why_outranked(n.message_id, p_now) end as outranked) k
    cross join lateral (select case when n.code = 'limit_reached'
        then flowbuilder.why_limited(n.blocked_by, p_now) end as details) l
$$;
