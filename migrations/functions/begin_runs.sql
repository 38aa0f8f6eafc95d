-- queued → running, for those of the given (locked) runs that have not begun.
create or replace function flowbuilder.begin_runs(p_runs uuid[]) returns void
language plpgsql set search_path = ''
as $$
declare
    v_events flowbuilder.event_draft[];
begin
    with begun as (
        update flowbuilder.runs set status = 'running', started_at = flowbuilder.now()
        where id = any (p_runs) and status = 'queued'
        returning id, flow, version, input
    )
    select array_agg((id, 'workflow_started', null, null, null, json_build_object(
        'workflow_id', id, 'input', input, 'flow', flow, 'version', version)
        )::flowbuilder.event_draft)
    into v_events from begun;
    if v_events is not null then
        perform flowbuilder.append_events(v_events);
    end if;
end
$$;
