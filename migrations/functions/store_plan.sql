-- Store a plan with its whole stream, in one statement: whoever finds the plan finds its last event,
-- also when the process that made it was killed meanwhile. Events are [{type, data}, …]. Nothing is
-- changed, and false the answer, when there is a plan of this id.
create or replace function flowbuilder.store_plan(
    p_workspace uuid, p_plan uuid, p_goal text, p_status text, p_document json, p_events json
) returns boolean
language sql set search_path = ''
as $$
    with given as (
        select e.value, e.ordinality as seq
        from json_array_elements(p_events) with ordinality e
    ), plan as (
        insert into flowbuilder.plans
            (id, workspace_id, goal, status, document, created_at, updated_at, last_seq)
        values (p_plan, p_workspace, p_goal, p_status, flowbuilder.checked(p_document),
            flowbuilder.now(), flowbuilder.now(), json_array_length(p_events))
        on conflict (id) do nothing
        returning id
    ), told as (
        insert into flowbuilder.events (stream, seq, workspace_id, type, at, data)
        select p.id, g.seq, p_workspace, g.value ->> 'type', flowbuilder.now(),
            flowbuilder.checked(g.value -> 'data')
        from plan p cross join given g order by g.seq
        returning 1
    )
    select exists (select from plan)
$$;
