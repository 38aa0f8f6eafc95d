-- Write events and number them per run. The caller holds the lock of every run it names, so the
-- order of numbers is the order of commits.
create or replace function flowbuilder.append_events(
    p_events flowbuilder.event_draft[], p_actor text default null
) returns void
language plpgsql set search_path = ''
as $$
begin
    with given as (
        select e.*
        from unnest(p_events) with ordinality
            as e (run_id, type, step_name, task_id, attempt, data, place)
    ),
    counted as (select run_id, count(*) as n from given group by run_id),
    bumped as (
        update flowbuilder.runs r set last_seq = r.last_seq + c.n
        from counted c where r.id = c.run_id
        returning r.id, r.workspace_id, r.last_seq - c.n as base
    )
    insert into flowbuilder.events
        (stream, seq, workspace_id, type, run_id, step_name, task_id, attempt, at, actor, data)
    select g.run_id, b.base + row_number() over (partition by g.run_id order by g.place),
           b.workspace_id, g.type, g.run_id, g.step_name, g.task_id, g.attempt,
           flowbuilder.now(), p_actor, coalesce(g.data, '{}')
    from given g join bumped b on b.id = g.run_id;
end
$$;
