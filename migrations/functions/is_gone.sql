-- Whether a worker will not come back: it has stopped, or it is dead and was silent for a while.
-- One that was only slow hears that it was given up at its next call, and joins again.
create or replace function flowbuilder.is_gone(p_worker uuid) returns boolean
language sql stable set search_path = ''
as $$
    select not exists (
        select from flowbuilder.workers w
        where w.id = p_worker and (w.status = 'live' or w.status = 'dead'
              and w.last_seen_at > flowbuilder.now() - interval '8 seconds'))
$$;
