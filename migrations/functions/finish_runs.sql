-- End those of the (locked) runs in which no step remains and nothing holds them open. A flow with
-- an `output` gets a finishing task first, because references are resolved by workers.
create or replace function flowbuilder.finish_runs(p_runs uuid[]) returns void
language plpgsql set search_path = ''
as $$
declare
    v_run record;
begin
    for v_run in
        select r.id, v.output is null as plain from flowbuilder.runs r
        join flowbuilder.flow_versions v on v.id = r.version_id
        where r.id = any (p_runs) and r.remaining_steps = 0 and r.holds = 0
          and r.failure is null
          and r.status in ('queued', 'running')
        order by r.id
    loop
        if v_run.plain then
            perform flowbuilder.end_run(
                v_run.id, 'completed', flowbuilder.leaf_outputs(v_run.id), null);
        else
            perform flowbuilder.start_finish(
                array[v_run.id], flowbuilder.now(), null, 0, null);
        end if;
    end loop;
end
$$;
