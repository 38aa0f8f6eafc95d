-- Ask further people about approvals that nobody has decided for so long: those of the next step of each
-- one's escalation may decide it too, and are told. Where anyone may decide, they are only told. Runs
-- that others hold are left for the next time. Returns the runs.
create or replace function flowbuilder.escalate_approvals(p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_due     record;
    v_it      flowbuilder.approvals;
    v_to      text[];
    v_touched uuid[] := '{}';
begin
    for v_due in
        select a.id, a.run_id from flowbuilder.approvals a
        where a.status = 'pending' and a.escalate_at <= flowbuilder.now()
        order by a.escalate_at limit p_limit
    loop
        perform 1 from flowbuilder.runs r where r.id = v_due.run_id for update skip locked;
        continue when not found;
        select * into v_it from flowbuilder.approvals a
        where a.id = v_due.id and a.status = 'pending' and a.escalate_at <= flowbuilder.now()
        for update;
        continue when not found;
        v_to := array(select json_array_elements_text(v_it.escalation -> v_it.escalated -> 'to'));
        update flowbuilder.approvals a
        set escalated = a.escalated + 1,
            approvers = case when a.approvers = '{}' then a.approvers else array(
                select distinct n from unnest(a.approvers || v_to) n order by n) end,
            escalate_at = a.requested_at + make_interval(secs =>
                (a.escalation -> (a.escalated + 1) ->> 'after_seconds')::double precision)
        where a.id = v_it.id returning * into v_it;
        perform flowbuilder.tell_approvers(v_it, v_to, v_it.escalated);
        perform flowbuilder.note_act(v_it, 'escalate', null, '{}', array_to_string(v_to, ', '));
        perform flowbuilder.append_events(array[(v_it.run_id, 'approval_escalated', v_it.step_id,
            v_it.task_id, null, json_build_object('approval_id', v_it.id, 'level', v_it.escalated,
                'to', v_to, 'by', v_it.approvers, 'task_id', v_it.task_id,
                'workflow_id', v_it.run_id, 'step_name', v_it.step_id))::flowbuilder.event_draft]);
        v_touched := v_touched || v_it.run_id;
    end loop;
    return v_touched;
end
$$;
