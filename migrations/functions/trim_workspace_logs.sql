-- After events were deleted: logs end where the last deleted event stood, because a reader must not
-- pass by what is missing. Logs that nobody has read for a week go, with the last of them the trigger.
create or replace function flowbuilder.trim_workspace_logs() returns void
language plpgsql set search_path = ''
as $$
declare
    v_log  flowbuilder.workspace_logs;
    v_upto bigint;
begin
    delete from flowbuilder.workspace_arrivals a
    where not exists (select from flowbuilder.events e where e.stream = a.stream and e.seq = a.seq);
    for v_log in select * from flowbuilder.workspace_logs l order by l.workspace_id for update loop
        if v_log.read_at > flowbuilder.now() - interval '7 days' then
            select max(w.place) into v_upto from flowbuilder.workspace_events w
            where w.workspace_id = v_log.workspace_id
              and not exists (select from flowbuilder.events e
                              where e.stream = w.stream and e.seq = w.seq);
        else
            v_upto := v_log.last;
            delete from flowbuilder.workspace_arrivals a where a.workspace_id = v_log.workspace_id;
        end if;
        continue when v_upto is null;
        delete from flowbuilder.workspace_events w
        where w.workspace_id = v_log.workspace_id and w.place <= v_upto;
        update flowbuilder.workspace_logs l set pruned = greatest(l.pruned, v_upto)
        where l.workspace_id = v_log.workspace_id;
    end loop;
    if not exists (select from flowbuilder.workspace_logs l
                   where l.read_at > flowbuilder.now() - interval '7 days') then
        perform set_config('lock_timeout', '300ms', true);  -- others would wait behind this
        begin
            drop trigger if exists events_log on flowbuilder.events;
        exception when lock_not_available then
            null;  -- it finds nothing to do, and goes next time
        end;
    end if;
end
$$;
