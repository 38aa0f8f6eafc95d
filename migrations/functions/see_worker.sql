-- Remember that a worker was heard of, at most every three seconds: each time is a flush of the log.
-- Upkeep may hold the row and wait for a run that this call's transaction holds, so nothing is waited
-- for here.
create or replace function flowbuilder.see_worker(p_worker uuid) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now timestamptz := flowbuilder.now();
begin
    update flowbuilder.workers set last_seen_at = v_now
    where id in (select w.id from flowbuilder.workers w
                 where w.id = p_worker and w.last_seen_at < v_now - interval '3 seconds'
                 for no key update skip locked);
end
$$;
