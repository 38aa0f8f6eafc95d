-- Those of the given runs that have ended and that nobody has observed yet: each is handed out once, to
-- one process, which counts it and tells of it. `waits`: how long some of its tasks had been able to
-- start before they did.
create or replace function flowbuilder.observe_ends(p_runs uuid[]) returns setof jsonb
language sql set search_path = ''
as $$
    with fresh as (
        insert into flowbuilder.observed_runs (run_id)
        select r.id from flowbuilder.runs r
        where r.id = any (p_runs) and (r.finished_at is not null) is true
        order by r.id
        on conflict do nothing
        returning run_id
    )
    select jsonb_build_object('run_id', r.id, 'flow', r.flow, 'status', r.status,
        'code', r.error ->> 'code', 'trace', flowbuilder.traces_of(r.id, null) ->> 'run',
        'created_at', extract(epoch from r.created_at),
        'started_at', extract(epoch from coalesce(r.started_at, r.created_at)),
        'finished_at', extract(epoch from r.finished_at),
        'waits', (select jsonb_agg(extract(epoch from t.started_at - t.available_at))
                  from (select t.started_at, t.available_at from flowbuilder.tasks t
                        where t.run_id = r.id and t.started_at is not null and t.attempt = 1
                          and t.available_at is not null
                        order by t.position, t.element limit 20) t))
    from fresh f cross join lateral (
        select r.* from flowbuilder.runs r where r.id = f.run_id offset 0) r
$$;
