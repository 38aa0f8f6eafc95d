-- How it stands with approvals, of one workspace or (null) of all: those that wait, by risk, with the
-- oldest one's age; and of those decided since a time how many, how fast, and how many within two
-- seconds, which nobody can have read.
create or replace function flowbuilder.approval_figures(p_workspace uuid, p_since timestamptz)
returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object(
        'pending', coalesce((
            select jsonb_object_agg(w.risk, w.n) from (
                select a.risk, count(*) as n from flowbuilder.approvals a
                where a.status = 'pending' and (p_workspace is null or a.workspace_id = p_workspace)
                group by a.risk) w), '{}'),
        'oldest_seconds', (
            select extract(epoch from flowbuilder.now() - min(a.requested_at))
            from flowbuilder.approvals a
            where a.status = 'pending' and (p_workspace is null or a.workspace_id = p_workspace)),
        'decided', coalesce((
            select jsonb_object_agg(d.status, jsonb_build_object('count', d.n, 'seconds', d.seconds,
                'hasty', d.hasty)) from (
                select a.status, count(*) as n,
                    sum(extract(epoch from a.decided_at - a.requested_at)) as seconds,
                    count(*) filter (where a.decided_at < a.requested_at + interval '2 seconds')
                        as hasty
                from flowbuilder.approvals a
                where a.decided_at >= p_since and a.status in ('approved', 'rejected', 'expired')
                  and (p_workspace is null or a.workspace_id = p_workspace)
                group by a.status) d), '{}'))
$$;
