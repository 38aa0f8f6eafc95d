-- The schedules that are due, longest first, with the version that each would start and the present
-- time; none while all are held.
create or replace function flowbuilder.due_schedules(p_limit integer)
returns table (
    id uuid, workspace_id uuid, name text, flow text, input json, cron text, timezone text,
    missed text, missed_limit integer, jitter_seconds double precision, revision bigint,
    tick_at timestamptz, next_at timestamptz, now timestamptz, version_id uuid, document json,
    known boolean
)
language sql stable set search_path = '' set enable_seqscan = off
as $$
    select s.id, s.workspace_id, s.name, s.flow, s.input, s.cron, s.timezone, s.missed,
        s.missed_limit, s.jitter_seconds, s.revision, s.tick_at, s.next_at, n.now,
        v.id, v.document,
        exists (select from flowbuilder.flows f where f.workspace_id = s.workspace_id and f.slug = s.flow)
    from (select flowbuilder.now() as now) n
    join flowbuilder.schedules s on s.next_at <= n.now
    left join lateral (
        select o.id, o.document from flowbuilder.flow_versions o
        where o.workspace_id = s.workspace_id and o.slug = s.flow and o.version is not null
          and o.version = coalesce(s.version, o.version)
        order by o.version desc limit 1) v on true
    where not exists (select from flowbuilder.schedule_switch w where w.held_at is not null)
    order by s.next_at limit p_limit
$$;
