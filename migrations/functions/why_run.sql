-- Why a run does not move: {run_id, flow, status, at, deadline_at, reasons: [{code, step, task_id,
-- since, until, details}]}, null for a run that is not there. Reads only. What the codes mean, which
-- weighs more and the words for people stand in executor/diagnosis.py.
create or replace function flowbuilder.why_run(
    p_workspace uuid, p_run uuid, p_depth integer default 1
) returns jsonb
language plpgsql stable set search_path = '' set enable_seqscan = off
as $$
declare
    v_now     timestamptz := flowbuilder.now();
    v_run     flowbuilder.runs;
    v_last    flowbuilder.events;
    v_reasons jsonb;
begin
    select * into v_run from flowbuilder.runs where id = p_run and workspace_id = p_workspace;
    if not found then
        return null;
    end if;
    if v_run.finished_at is not null or v_run.status = 'paused' then
        select * into v_last from flowbuilder.events e
        where e.stream = p_run and e.type in ('workflow_paused', 'workflow_completed',
              'workflow_failed', 'workflow_cancelled')
        order by e.seq desc limit 1;
    end if;
    with found as (
        select 'ended' as code, null as step, null::bigint as task_id, v_run.finished_at as since,
            null::timestamptz as until, jsonb_build_object('status', v_run.status,
                'error', v_run.error, 'by', v_last.actor, 'reason', v_last.data -> 'reason')
                as details
        where v_run.finished_at is not null
        union all
        select 'paused', null, null, v_last.at, v_run.deadline_at, jsonb_build_object(
            'by', v_last.actor, 'reason', v_last.data -> 'reason')
        where v_run.status = 'paused'
        union all
        select 'compensating', null, null, null, v_run.deadline_at, jsonb_build_object(
            'error', v_run.failure) || flowbuilder.compensation_report(p_run, null)
        where v_run.finished_at is null and v_run.failure is not null
        union all
        select 'deadline', null, null, v_run.created_at, v_run.deadline_at, jsonb_build_object(
            'overdue', v_run.deadline_at <= v_now)
        where v_run.finished_at is null
          and v_now > v_run.deadline_at - (v_run.deadline_at - v_run.created_at) / 10
        union all
        select 'budget', null, null, null, null, b.details from flowbuilder.why_budget(p_run) b
        where v_run.finished_at is null
        union all
        select 'held_open', null, null, min(h.held_at),
            coalesce(min(h.deadline_at), v_run.deadline_at), jsonb_build_object(
            'holds', v_run.holds, 'remaining_steps', v_run.remaining_steps, 'by', coalesce(
                jsonb_agg(to_jsonb(h) - 'run_id' order by h.deadline_at)
                    filter (where h.run_id is not null), '[]'))
        from (select v_run.id) r left join flowbuilder.run_holds h on h.run_id = r.id
        where v_run.finished_at is null having v_run.holds > 0
        union all
        select 'outbox', null, min(o.task_id), min(o.created_at), null, jsonb_build_object(
            'kind', o.kind, 'rows', count(*))
        from flowbuilder.outbox o
        where o.run_id = p_run and v_run.finished_at is null group by o.kind
        union all
        select 'no_worker', null, null, null, null, jsonb_build_object('last_seen_at', (
            select max(w.last_seen_at) from flowbuilder.workers w))
        where v_run.finished_at is null
          and not exists (select from flowbuilder.crew(v_now) c where c.alive)
        union all
        select t.* from flowbuilder.why_tasks(p_run, v_now, p_depth) t
        where v_run.finished_at is null and (v_run.status <> 'paused' or t.code in (
            'leased', 'worker_silent', 'approval', 'time', 'child_run', 'waiting'))
        union all
        select a.* from flowbuilder.why_admission(v_run, v_now) a
        union all
        select s.code, s.step, null, null, null, s.details from flowbuilder.why_steps(p_run) s
        where v_run.finished_at is null
    )
    select jsonb_agg(jsonb_build_object('code', f.code, 'step', f.step, 'task_id', f.task_id,
        'since', f.since, 'until', f.until, 'details', f.details))
    into v_reasons from found f;
    return jsonb_build_object('run_id', v_run.id, 'flow', v_run.flow, 'status', v_run.status,
        'at', v_now, 'deadline_at', v_run.deadline_at, 'reasons', coalesce(v_reasons, '[]'));
end
$$;
