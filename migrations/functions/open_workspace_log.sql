-- Begin the log of a workspace, or note that it is still read; answers {first, last}. A log begins
-- with the newest runs that have 10,000 events together. Whoever waits for the lock of events holds up
-- everybody behind him, so nobody waits for long: the caller tries again.
create or replace function flowbuilder.open_workspace_log(p_workspace uuid) returns jsonb
language plpgsql set search_path = '' set lock_timeout = '300ms'
as $$
declare
    v_log  flowbuilder.workspace_logs;
    v_now  timestamptz := flowbuilder.now();
    v_runs uuid[];
begin
    select * into v_log from flowbuilder.workspace_logs l where l.workspace_id = p_workspace;
    if found and v_log.read_at > v_now - interval '7 days' then
        update flowbuilder.workspace_logs l set read_at = v_now
        where l.workspace_id = p_workspace and l.read_at < v_now - interval '1 hour';
        return jsonb_build_object('first', v_log.pruned + 1, 'last', v_log.last);
    end if;
    -- From here to the commit nobody writes events: what is there is in the log now, what comes
    -- later comes by the trigger.
    lock table flowbuilder.events in share row exclusive mode;
    select * into v_log from flowbuilder.workspace_logs l where l.workspace_id = p_workspace;
    if found and v_log.read_at > v_now - interval '7 days' then  -- somebody was quicker
        return jsonb_build_object('first', v_log.pruned + 1, 'last', v_log.last);
    end if;
    if not exists (select from pg_catalog.pg_trigger t
                   where t.tgrelid = 'flowbuilder.events'::regclass and t.tgname = 'events_log') then
        create trigger events_log after insert on flowbuilder.events
        referencing new table as written
        for each statement execute function flowbuilder.log_arrivals();
    end if;
    delete from flowbuilder.workspace_arrivals a where a.workspace_id = p_workspace;
    delete from flowbuilder.workspace_events e where e.workspace_id = p_workspace;
    select array_agg(r.id) into v_runs
    from (select n.id, sum(n.last_seq) over (order by n.created_at desc, n.id desc) as total
          from (select r.id, r.created_at, r.last_seq from flowbuilder.runs r
                where r.workspace_id = p_workspace
                order by r.created_at desc, r.id desc limit 1000) n) r
    where r.total <= 10000;
    insert into flowbuilder.workspace_events (workspace_id, place, stream, seq)
    select p_workspace, coalesce(v_log.last, 0) + row_number() over (order by e.at, e.stream, e.seq),
           e.stream, e.seq
    from (select e.stream, e.seq, max(e.at) over (partition by e.stream order by e.seq) as at
          from flowbuilder.events e where e.stream = any (v_runs)) e;
    insert into flowbuilder.workspace_logs as l (workspace_id, last, pruned, read_at)
    values (p_workspace, 0, 0, v_now)
    on conflict (workspace_id) do update set pruned = l.last, read_at = v_now;
    update flowbuilder.workspace_logs l
    set last = greatest(l.last, coalesce((select max(e.place) from flowbuilder.workspace_events e
                                          where e.workspace_id = p_workspace), 0))
    where l.workspace_id = p_workspace
    returning * into v_log;
    return jsonb_build_object('first', v_log.pruned + 1, 'last', v_log.last);
end
$$;
