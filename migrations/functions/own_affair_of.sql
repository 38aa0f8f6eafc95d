-- Whose own affair a run is: who has started it, one that it is a part of or one that it retries; who has
-- made or changed the trigger that did, or has given it a secret; who has made its version or changed the
-- draft of that last; and who has added steps to it. A key's owner is named as such.
create or replace function flowbuilder.own_affair_of(p_run uuid) returns text[]
language sql stable set search_path = ''
as $$
    with recursive family (id, parent_run_id, retry_of) as (
        select r.id, r.parent_run_id, r.retry_of from flowbuilder.runs r where r.id = p_run
        union
        select r.id, r.parent_run_id, r.retry_of
        from family f join flowbuilder.runs r on r.id in (f.parent_run_id, f.retry_of)
    )
    select coalesce(array_agg(distinct flowbuilder.plain_name(n.name)), '{}')
    from family f
    join flowbuilder.runs r on r.id = f.id
    cross join lateral (
        select r.actor as name
        union all
        select unnest(t.authors) from flowbuilder.run_triggers t where t.run_id = r.id
        union all
        select unnest(array[v.created_by, v.edited_by,
            case when v.version is null then w.edited_by end])
        from flowbuilder.flow_versions v
        left join flowbuilder.flows w on w.workspace_id = r.workspace_id and w.slug = r.flow
        where v.id in (r.version_id, r.grown_from)
        union all  -- each step that was added has made a version of the run's own
        select v.created_by from flowbuilder.flow_versions v where v.run_id = r.id) n
    where n.name is not null
$$;
