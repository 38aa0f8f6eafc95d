-- Write one event of a plan's stream, numbered under the lock of the plan's row.
create or replace function flowbuilder.append_plan_event(
    p_workspace uuid, p_plan uuid, p_type text, p_data json
) returns setof flowbuilder.events
language sql set search_path = ''
as $$
    with bumped as (
        update flowbuilder.plans set last_seq = last_seq + 1
        where id = p_plan and workspace_id = p_workspace
        returning id, last_seq
    )
    insert into flowbuilder.events (stream, seq, workspace_id, type, at, data)
    select id, last_seq, p_workspace, p_type, flowbuilder.now(),
           flowbuilder.checked(p_data) from bumped
    returning *
$$;
