-- Take the worker's row first in the order of locks; a worker that was given up is refused, so that
-- nothing it still believes to hold can be written.
create or replace function flowbuilder.greet_worker(p_worker uuid) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now  timestamptz := flowbuilder.now();
    v_seen timestamptz;
begin
    select w.last_seen_at into v_seen from flowbuilder.workers w
    where w.id = p_worker and w.status = 'live' for no key update;
    if not found then
        perform flowbuilder.refuse('stale', 'worker_dead',
            'the database has given this worker up; it must register again');
    end if;
    if v_seen < v_now - interval '2 seconds' then
        update flowbuilder.workers set last_seen_at = v_now where id = p_worker;
    end if;
end
$$;
