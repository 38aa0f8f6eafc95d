-- Who holds a task, and what is known of them.
create or replace function flowbuilder.why_held(p_worker uuid) returns jsonb
language sql stable set search_path = ''
as $$
    select coalesce((
        select jsonb_build_object('worker_id', w.id, 'worker', w.name, 'host', w.host, 'pid', w.pid,
            'worker_status', w.status, 'last_seen_at', w.last_seen_at, 'suspect_at', w.suspect_at)
        from flowbuilder.workers w where w.id = p_worker),
        jsonb_build_object('worker_id', p_worker, 'worker', null))
$$;
