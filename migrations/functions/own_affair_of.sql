-- Whose own affair a run is: who has started it or one that it is a part of, who has made its version or
-- changed the draft of that last, and who has added steps to it. A key's owner is named as such.
create or replace function flowbuilder.own_affair_of(p_run uuid) returns text[]
language sql stable set search_path = ''
as $$
    with recursive family as (
        select r.* from flowbuilder.runs r where r.id = p_run
        union all
        select r.* from family f join flowbuilder.runs r on r.id = f.parent_run_id
    )
    select coalesce(array_agg(distinct flowbuilder.plain_name(n.name)), '{}')
    from family f
    join flowbuilder.flow_versions v on v.id in (f.version_id, f.grown_from)
    left join flowbuilder.flows w on w.workspace_id = f.workspace_id and w.slug = f.flow
    cross join lateral unnest(array[f.actor, v.created_by, v.edited_by,
        case when v.version is null then w.edited_by end]) n (name)
    where n.name is not null
$$;
