-- A live worker holds a session lock named by its id. One whose lock is gone is suspect, at a
-- second look a second later it is dead: what it held is queued again, and functions that lived
-- only in its process are gone. Without a lock ever seen (behind a pooler), silence decides.
create or replace function flowbuilder.bury_workers() returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_now     timestamptz := flowbuilder.now();
    v_worker  record;
    v_dead    uuid[] := '{}';
begin
    for v_worker in
        select w.id, w.suspect_at, w.lock_seen, w.last_seen_at,
               flowbuilder.is_locked(w.id) as locked
        from flowbuilder.workers w where w.status = 'live'
        order by w.id for no key update skip locked
    loop
        if v_worker.locked then
            if not v_worker.lock_seen or v_worker.suspect_at is not null then
                update flowbuilder.workers set lock_seen = true, suspect_at = null
                where id = v_worker.id;
            end if;
        elsif v_worker.lock_seen and v_worker.suspect_at is null then
            update flowbuilder.workers set suspect_at = v_now where id = v_worker.id;
        elsif v_worker.suspect_at <= v_now - interval '1 second'
           or not v_worker.lock_seen and v_worker.last_seen_at < v_now - interval '1 minute' then
            v_dead := v_dead || v_worker.id;
        end if;
    end loop;
    return flowbuilder.retire_workers(v_dead, 'dead');
end
$$;
