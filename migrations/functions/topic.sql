-- The topic of an event: its channel, a dot, its type. What is not about a task, an approval or a
-- plan is about the run.
create or replace function flowbuilder.topic(p_type text) returns text
language sql immutable strict set search_path = ''
as $$
    select case split_part(p_type, '_', 1) when 'task' then 'task_events.'
        when 'approval' then 'approval_events.' when 'plan' then 'plan_events.'
        else 'workflow_events.' end || p_type
$$;
