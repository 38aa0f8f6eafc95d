-- Remember from which number on rows of leases of this worker may be there: those below are gone, but
-- stay in the index for as long as some transaction stays open. Every call that leases holds the
-- worker's row from its beginning (greet_worker.sql), so whoever gets it alone knows that none is under
-- way that could still commit a lower number. Nothing is waited for.
create or replace function flowbuilder.pass_leases(p_worker uuid) returns void
language plpgsql set search_path = ''
as $$
declare
    v_next bigint := coalesce(pg_sequence_last_value('flowbuilder.leases_id_seq'), 0) + 1;
begin
    perform from flowbuilder.workers w
    where w.id = p_worker and w.leases_from + 1000 < v_next for update skip locked;
    if found then
        update flowbuilder.workers w
        set leases_from = least(v_next, (
            select min(l.id) from flowbuilder.leases l
            where l.worker_id = p_worker and l.id >= w.leases_from))
        where w.id = p_worker;
    end if;
end
$$;
