-- Delete graphs that were never saved and that no run refers to: at most 1,000 looked at, those that
-- were last registered before `p_before`, and in any case an hour ago, because a run of a version is
-- started in a transaction after the one that registers it. One that a run refers to is not looked
-- at again before that run is pruned. Answers {versions, more}. With `p_dry` it only counts.
create or replace function flowbuilder.prune_versions(
    p_workspace uuid, p_before timestamptz, p_limit integer, p_dry boolean
) returns jsonb
language plpgsql
set search_path = '' set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    v_before timestamptz := least(p_before, flowbuilder.now() - interval '1 hour');
    v_page   uuid[];
    v_unused uuid[];
begin
    if p_dry then
        return jsonb_build_object('more', false, 'versions', (
            select count(*) from flowbuilder.flow_versions v
            where v.registered_at < v_before and v.workspace_id = p_workspace
              and (select r.id from flowbuilder.runs r
                   where r.version_id = v.id and r.version is null limit 1) is null
              and (select r.id from flowbuilder.runs r
                   where r.grown_from = v.id limit 1) is null));
    end if;
    v_page := array(
        select v.id from flowbuilder.flow_versions v
        where v.registered_at < v_before and v.workspace_id = p_workspace
        order by v.registered_at limit least(greatest(p_limit, 1), 1000)
        for update skip locked);
    v_unused := array(
        select p.id from unnest(v_page) as p (id)
        where (select r.id from flowbuilder.runs r
               where r.version_id = p.id and r.version is null limit 1) is null
          and (select r.id from flowbuilder.runs r where r.grown_from = p.id limit 1) is null);
    update flowbuilder.flow_versions set registered_at = null
    where id = any (v_page) and id <> all (v_unused);
    delete from flowbuilder.flow_versions where id = any (v_unused);
    return jsonb_build_object('versions', cardinality(v_unused),
                              'more', cardinality(v_page) = least(greatest(p_limit, 1), 1000));
end
$$;
