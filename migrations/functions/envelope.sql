-- An event as other systems get it: the envelope that readers of streams get, too. The data says
-- again what the envelope says, as in executor/rows.py.
create or replace function flowbuilder.envelope(p_event flowbuilder.events) returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object(
        'stream', p_event.stream, 'seq', p_event.seq, 'type', p_event.type,
        'run_id', p_event.run_id, 'step_name', p_event.step_name,
        'task_id', p_event.task_id::text, 'attempt', p_event.attempt,
        'at', to_char(p_event.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00'),
        'actor', p_event.actor,
        'data', case when p_event.run_id is not null
                then jsonb_build_object('workflow_id', p_event.run_id) else '{}' end
            || case when starts_with(p_event.type, 'task_')
               then jsonb_build_object('task_id', p_event.task_id, 'step_name', p_event.step_name)
               else '{}' end
            || p_event.data::jsonb)
$$;
