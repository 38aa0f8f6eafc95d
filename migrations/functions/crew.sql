-- The workers that can take work, as far as can be known without waiting for upkeep to look: each
-- with what it offers and how much it holds. `alive` is false for one whose session lock is gone, or
-- that never had one (behind a pooler) and was silent for a minute, as in bury_workers. It counts
-- for the service too, which may not look into other workspaces' leases: numbers are all it gives.
create or replace function flowbuilder.crew(p_now timestamptz)
returns table (id uuid, name text, tools text[], concurrency integer, running integer,
               alive boolean, last_seen_at timestamptz)
language sql stable security definer set search_path = ''
as $$
    select w.id, w.name, w.tools, w.concurrency,
           (select count(*)::integer from flowbuilder.leased_tasks(w.id)),
           case when flowbuilder.is_locked(w.id) then true when w.lock_seen then false
           else w.last_seen_at > p_now - interval '1 minute' end,
           w.last_seen_at
    from flowbuilder.workers w where w.status = 'live'
$$;
