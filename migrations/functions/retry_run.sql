-- Start a new run of the version and input of one that has ended, which takes over the results of the
-- steps before `p_from` (by default: of all that finished). The same idempotency key gives the same
-- run; with `p_dry` nothing is started. Answers {run_id, created, reused: [step, …], again: [{step,
-- tool, status, started}, …]}: what the old run had started of the steps that run again happens again.
create or replace function flowbuilder.retry_run(
    p_workspace uuid, p_run uuid, p_from text, p_deadline_seconds double precision,
    p_actor text, p_key text, p_dry boolean
) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
    v_old   flowbuilder.runs;
    v_known flowbuilder.runs;
    v_again integer[];
    v_new   uuid;
begin
    select * into v_old from flowbuilder.runs
    where id = p_run and workspace_id = p_workspace for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'run_not_found', 'there is no such run');
    elsif v_old.finished_at is null then
        perform flowbuilder.refuse('transition', 'run_still_open',
            format('this run is %s: only one that has ended can be retried', v_old.status),
            jsonb_build_object('status', v_old.status));
    elsif p_from is not null and not exists (
        select from flowbuilder.run_steps s where s.run_id = p_run and s.step_id = p_from) then
        perform flowbuilder.refuse('invalid', 'step_unknown',
            format('this run has no step %s', p_from), '{"pointer": "/from_step"}');
    end if;
    v_again := flowbuilder.steps_again(p_run, p_from);
    select * into v_known from flowbuilder.runs
    where workspace_id = p_workspace and idempotency_key = p_key;
    if v_known.id is not null and ((v_known.retry_of = p_run) is not true
                                   or v_known.retry_from is distinct from p_from) then
        perform flowbuilder.refuse('conflict', 'idempotency_mismatch',
            'this idempotency key was used for something else',
            jsonb_build_object('run_id', v_known.id));
    elsif v_known.id is null and v_again = '{}' and v_old.status = 'completed' then
        perform flowbuilder.refuse('conflict', 'nothing_to_retry',
            'every step of this run has finished: name the step to run again from');
    elsif v_known.id is null and exists (
        select from flowbuilder.run_steps s
        join flowbuilder.version_steps v on v.id = s.node_id
        where s.run_id = p_run and s.position = any (v_again)
          and v.owner_id is not null and (flowbuilder.is_gone(v.owner_id) or not exists (
              select from flowbuilder.workers w where w.id = v.owner_id and v.tool = any (w.tools)))) then
        perform flowbuilder.refuse('conflict', 'function_gone',
            'a function of this run is not held by a process any more: execute the graph anew');
    elsif v_known.id is null and not p_dry then
        perform flowbuilder.require_active_workspace(p_workspace);
        if v_old.version is not null and exists (
            select from flowbuilder.flows f
            where f.workspace_id = p_workspace and f.slug = v_old.flow and f.archived_at is not null)
        then
            perform flowbuilder.refuse('conflict', 'flow_archived',
                format('the flow %s is archived', v_old.flow));
        end if;
        v_new := flowbuilder.open_retry(v_old, v_again, p_from,
            coalesce(make_interval(secs => p_deadline_seconds),
                     v_old.deadline_at - v_old.created_at  -- without its time for undoing
                     - case when v_old.failure is null then interval '0'
                       else interval '10 minutes' end), p_actor, p_key);
    end if;
    return (select jsonb_build_object(
        'run_id', coalesce(v_known.id, v_new), 'created', v_new is not null,
        'reused', coalesce(jsonb_agg(s.step_id order by s.position)
            filter (where s.position <> all (v_again)), '[]'),
        'again', coalesce(jsonb_agg(jsonb_build_object('step', s.step_id, 'tool', v.tool,
            'status', s.status, 'started', s.status = 'completed' or exists (
                select from flowbuilder.tasks t
                where t.run_id = p_run and t.position = s.position and t.kind = 'step'
                  and t.fence > 0)) order by s.position)
            filter (where s.position = any (v_again)), '[]'))
        from flowbuilder.run_steps s
        join flowbuilder.version_steps v on v.id = s.node_id
        where s.run_id = p_run);
end
$$;
