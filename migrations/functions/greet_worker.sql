-- Take the worker's row first in the order of locks and return the tools that it offers. Calls of
-- one worker do not wait for each other, only for its end. A worker that was given up is refused,
-- so that nothing it still believes to hold can be written.
create or replace function flowbuilder.greet_worker(p_worker uuid) returns text[]
language plpgsql set search_path = ''
as $$
declare
    v_tools text[];
begin
    select w.tools into v_tools from flowbuilder.workers w
    where w.id = p_worker and w.status = 'live' for key share;
    if not found then
        perform flowbuilder.refuse('stale', 'worker_dead',
            'the database has given this worker up; it must register again');
    end if;
    return v_tools;
end
$$;
