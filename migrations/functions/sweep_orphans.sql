-- Fail what waits for a function whose process has gone: once it was silent for long enough, also
-- tasks that came to the queue only later, behind a step that ended. Runs that somebody else
-- holds are left for the next call.
create or replace function flowbuilder.sweep_orphans(p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_runs uuid[];
begin
    with lost as materialized (
        select t.run_id from flowbuilder.tasks t
        where t.orphanable and t.status in ('queued', 'waiting')
          and flowbuilder.is_gone(t.owner_id)
        limit p_limit
    ),
    locked as materialized (
        select r.id from flowbuilder.runs r
        where r.id in (select l.run_id from lost l) and (r.finished_at is null) is true
        order by r.id for update skip locked
    )
    select coalesce(array_agg(l.id), '{}') into v_runs from locked l;
    if cardinality(v_runs) > 0 then
        perform flowbuilder.fail_orphans(v_runs);
    end if;
    return v_runs;
end
$$;
