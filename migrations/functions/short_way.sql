-- The one outcome of a system that is not busy, mostly the completion of a step: what `take_turn` does for
-- many is written row by row, by pass_on.sql for a plain step, and for an element of a map by
-- pass_element.sql. Wherever there is more to judge they answer null and have written nothing.
create or replace function flowbuilder.short_way(
    p_worker uuid, o flowbuilder.outcome, p_tools text[], p_free integer, p_lease interval
) returns json
language plpgsql set search_path = ''
as $$
declare
    r flowbuilder.runs;
    t flowbuilder.tasks;
begin
    select * into r from flowbuilder.runs u
    where u.id = o.run_id and (u.status = 'running') is true for update;
    if not found or o.kind <> 'completed' or flowbuilder.has_limits() then
        return null;
    end if;
    select * into t from flowbuilder.tasks a
    where a.id = o.task_id and a.fence = o.fence and (a.run_id = r.id) is true and a.kind = 'step'
      and (a.worker_id = p_worker) is true and (a.status = 'running') is true;
    return case
        when not found then null
        when t.element < 0 then flowbuilder.pass_on(
            r, t, coalesce(o.output, 'null'), p_worker, p_tools, p_lease)
        else flowbuilder.pass_element(
            r, t, coalesce(o.output, 'null'), p_worker, p_tools, p_free, p_lease) end;
end
$$;
