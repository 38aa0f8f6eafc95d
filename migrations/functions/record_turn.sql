-- Number and write the events of one exchange in one pass over its (locked) runs: begin those that
-- had not begun, count the steps that ended, and end the runs in which nothing remains. The row of
-- a run is written once. A flow with an `output` gets a finishing task first (`unfinished`).
create or replace function flowbuilder.record_turn(
    p_events flowbuilder.event_draft[], p_ended flowbuilder.place[], p_now timestamptz,
    out over uuid[], out unfinished uuid[]
)
language plpgsql set search_path = ''
as $$
begin
    with given as materialized (
        select e.*, row_number() over (partition by e.run_id order by e.place) as nth
        from unnest(p_events) with ordinality
            as e (run_id, type, step_name, task_id, attempt, data, place)
    ),
    judged as materialized (
        select r.id, r.tid, r.workspace_id, r.last_seq, g.n, r.flow, r.version, r.input,
            r.status = 'queued' as begins, r.remaining_steps - g.ended as remaining,
            c.clear and v.output is null as ends, c.clear and v.output is not null as waits,
            case when c.clear and v.output is null then coalesce(l.output, '{}') end as output
        from (select u.run_id, sum(u.event) as n, sum(u.ended)::integer as ended
              from (select g.run_id, 1 as event, 0 as ended from given g
                    union all select p.run_id, 0, 1 from unnest(p_ended) p) u
              group by u.run_id) g
        cross join lateral (  -- one by one, however few runs there were when this was planned
            select o.*, o.ctid as tid from flowbuilder.runs o where o.id = g.run_id offset 0) r
        cross join lateral (select g.ended > 0 and r.remaining_steps = g.ended and r.holds = 0
                            and r.status in ('queued', 'running') as clear) c
        join flowbuilder.flow_versions v on v.id = r.version_id
        cross join lateral (  -- as in leaf_outputs.sql
            select json_object_agg(s.step_id, s.output order by s.position) as output
            from flowbuilder.run_steps s
            join flowbuilder.version_steps n on n.id = s.node_id and n.dependents = '{}'
            where c.clear and s.run_id = r.id and s.status = 'completed') l
    ),
    bumped as (
        update flowbuilder.runs r
        set last_seq = j.last_seq + j.n + j.begins::integer + j.ends::integer,
            status = case when j.ends then 'completed' when j.begins then 'running'
                     else r.status end,
            started_at = coalesce(r.started_at, p_now), remaining_steps = j.remaining,
            finished_at = case when j.ends then p_now end, output = j.output,
            watched = r.watched and not j.ends
        from judged j where r.ctid = j.tid  -- locked, so it is still there
    ),
    written as (
        insert into flowbuilder.events
            (stream, seq, workspace_id, type, run_id, step_name, task_id, attempt, at, data)
        select j.id, j.last_seq + 1, j.workspace_id, 'workflow_started', j.id, null, null, null,
               p_now, json_build_object('input', j.input, 'flow', j.flow, 'version', j.version)
        from judged j where j.begins
        union all
        select j.id, j.last_seq + j.begins::integer + g.nth, j.workspace_id, g.type, j.id,
               g.step_name, g.task_id, g.attempt, p_now, coalesce(g.data, '{}')
        from given g join judged j on j.id = g.run_id
        union all
        select j.id, j.last_seq + j.begins::integer + j.n + 1, j.workspace_id,
               'workflow_completed', j.id, null, null, null, p_now,
               json_build_object('final_result', j.output)
        from judged j where j.ends
    )
    select array_agg(j.id) filter (where j.ends), array_agg(j.id) filter (where j.waits)
    into over, unfinished from judged j;
end
$$;
