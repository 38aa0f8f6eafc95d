-- Pause or resume a (locked) run that waits to be let in: it keeps its place, and begins no sooner.
-- False for any other run.
create or replace function flowbuilder.change_waiting(
    p_run flowbuilder.runs, p_verb text, p_actor text, p_reason text
) returns boolean
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.admissions a
    set state = case p_verb when 'pause' then 'paused' else 'waiting' end
    where a.run_id = p_run.id and a.state <> 'admitted';
    if not found then
        return false;
    end if;
    update flowbuilder.runs r
    set status = case p_verb when 'pause' then 'paused' else 'queued' end,
        started_at = case p_verb when 'pause' then flowbuilder.now() end
    where r.id = p_run.id;
    perform flowbuilder.append_events(array[(p_run.id,
        'workflow_' || case p_verb when 'pause' then 'paused' else 'resumed' end, null, null, null,
        json_build_object('workflow_id', p_run.id, 'reason', p_reason))::flowbuilder.event_draft],
        p_actor);
    if p_verb = 'resume' then
        insert into flowbuilder.outbox (kind, run_id, payload, created_at)
        values ('admit_runs', p_run.id, json_build_object('workspace_id', p_run.workspace_id),
            flowbuilder.now());
    end if;
    return true;
end
$$;
