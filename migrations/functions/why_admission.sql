-- Why a run is not let in: each limit that has no room, or who stands before it; and which workers
-- take nothing because their host has too much to do, while tasks of the run are queued.
create or replace function flowbuilder.why_admission(p_run flowbuilder.runs, p_now timestamptz)
returns table (code text, step text, task_id bigint, since timestamptz, until timestamptz,
               details jsonb)
language sql stable set search_path = ''
as $$
    with mine as (
        select a.* from flowbuilder.admissions a
        where a.run_id = p_run.id and a.state <> 'admitted' and p_run.finished_at is null
    ),
    ahead as (
        select count(*) as n from mine m
        join flowbuilder.admissions a on a.workspace_id = m.workspace_id and a.state = 'waiting'
        where a.priority > m.priority
           or a.priority = m.priority and (a.since, a.run_id) < (m.since, m.run_id)
    ),
    full_ones as (
        select r.*, l.concurrency, l.rate_count, l.rate_seconds from mine m
        cross join lateral flowbuilder.admission_rooms(m.workspace_id, p_now) r
        join flowbuilder.admission_limits l
          on l.workspace_id = m.workspace_id and l.flow = r.flow
        where r.flow in ('', m.flow) and r.room = 0
    )
    select 'admission', null::text, null::bigint, m.since, f.next_at, jsonb_build_object(
        'limit', case f.flow when '' then 'workspace' else 'flow' end, 'flow', nullif(f.flow, ''),
        'concurrency', f.concurrency, 'running', f.running, 'rate_count', f.rate_count,
        'rate_seconds', f.rate_seconds, 'next_at', f.next_at, 'ahead', (select n from ahead))
    from mine m left join full_ones f on true
    union all
    select 'host_busy', null, null, min(h.since), null, jsonb_build_object(
        'held', count(h.worker_id), 'workers', count(*), 'hosts', jsonb_agg(jsonb_build_object(
            'worker', c.name, 'cause', h.cause, 'figure', h.figure, 'threshold', h.threshold,
            'since', h.since) order by c.name) filter (where h.worker_id is not null))
    from flowbuilder.crew(p_now) c
    left join flowbuilder.worker_holds h on h.worker_id = c.id
    where c.alive and exists (select from flowbuilder.worker_holds) and exists (
        select from flowbuilder.tasks t where t.run_id = p_run.id and t.status = 'queued'
          and (p_run.status <> 'paused') is true)
    having count(h.worker_id) > 0
$$;
