-- The gaps of the queue that nobody may be put into, null when there are none: see watch_gaps.sql. Who
-- is about to write a message asks this first, in the same transaction: the lock, which writing takes
-- anyway, is what watch_gaps knows writers by, and is held before the row is read.
create or replace function flowbuilder.shut_places() returns tstzmultirange
language plpgsql set search_path = ''
as $$
declare
    v_shut tstzmultirange;
begin
    lock table pgmq.q_flowbuilder_tasks in row exclusive mode;
    if current_setting('transaction_isolation') <> 'read committed' then
        perform from flowbuilder.queue_gaps where single for share;  -- refused if it is not the newest
    end if;
    select nullif(g.shut, '{}') into v_shut from flowbuilder.queue_gaps g where g.single;
    return v_shut;
end
$$;
