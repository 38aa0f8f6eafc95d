-- What a workspace uses and may use. Runs of the day and plans of the hour are counted while there is
-- a quota of them.
create or replace function flowbuilder.usage_of(p_workspace uuid) returns jsonb
language sql set search_path = ''
as $$
    with quotas as (
        select g.* from (select) o left join flowbuilder.gates g on g.workspace_id = p_workspace
    ),
    counted as (
        select k.quota, case when c.since = flowbuilder.quota_window(k.quota, flowbuilder.now())
                        then c.used else 0 end as used
        from (values ('runs_per_day'), ('plans_per_hour')) as k (quota)
        left join flowbuilder.quota_counts c
          on c.workspace_id = p_workspace and c.quota = k.quota
    )
    select jsonb_build_object(
        'stored_bytes', jsonb_build_object('used', m.stored_bytes, 'limit', q.stored_bytes),
        'events_kept', jsonb_build_object('used', m.events, 'limit', q.events_kept),
        'runs_per_day', jsonb_build_object('used', case when q.runs_per_day is not null then (
            select c.used from counted c where c.quota = 'runs_per_day') end,
            'limit', q.runs_per_day),
        'plans_per_hour', jsonb_build_object('used', case when q.plans_per_hour is not null then (
            select c.used from counted c where c.quota = 'plans_per_hour') end,
            'limit', q.plans_per_hour),
        'runs', jsonb_build_object('waiting', (
            select count(*) from flowbuilder.admissions a
            where a.workspace_id = p_workspace and a.state <> 'admitted')),
        'measured_at', m.measured_at, 'quotas_at', q.quotas_at, 'quotas_by', q.quotas_by)
    from quotas q cross join flowbuilder.measure_usage(p_workspace) m
$$;
