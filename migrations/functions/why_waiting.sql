-- What a waiting task waits for: the approval and who is asked, the child run with (at a depth above
-- nothing) its own reasons, or what the wait itself says.
create or replace function flowbuilder.why_waiting(p_task bigint, p_depth integer)
returns jsonb
language sql stable set search_path = ''
as $$
    select case t.wait ->> 'kind'
        when 'approval' then (
            select jsonb_build_object('approval_id', a.id, 'kind', a.kind, 'by', a.approvers,
                'message', a.message, 'requested_at', a.requested_at,
                'deadline_at', a.deadline_at, 'on_deadline', a.on_deadline)
            from flowbuilder.approvals a where a.task_id = t.id and a.status = 'pending')
        when 'run' then jsonb_build_object('flow', t.wait ->> 'flow') || coalesce((
            select jsonb_build_object('child_run_id', c.id, 'status', c.status, 'reasons',
                case when p_depth > 0 then flowbuilder.why_run(c.workspace_id, c.id, p_depth - 1)
                     -> 'reasons' end)
            from flowbuilder.runs c where c.parent_run_id = t.run_id and c.parent_task_id = t.id
            order by c.created_at desc limit 1), '{"child_run_id": null}')
        when 'time' then '{}'
        else (t.wait::jsonb) - 'args' - 'input'
        end
    from flowbuilder.tasks t where t.id = p_task
$$;
