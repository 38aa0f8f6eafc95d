-- Delete plans that were not touched since `p_before` and that no run refers to, with their events:
-- one page of at most 1,000 looked at, from the oldest on. Answers {plans, next} as prune_runs does.
-- With `p_dry` it only counts, as if the runs that ended before were gone.
create or replace function flowbuilder.prune_plans(
    p_workspace uuid, p_before timestamptz, p_limit integer, p_after jsonb, p_dry boolean
) returns jsonb
language plpgsql
set search_path = '' set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    v_limit integer := least(greatest(p_limit, 1), 1000);
    v_at    timestamptz := coalesce((p_after ->> 'at')::timestamptz, '-infinity');
    v_id    uuid := coalesce(p_after ->> 'id', 'ffffffff-ffff-ffff-ffff-ffffffffffff')::uuid;
    v_page  uuid[];
    v_next  jsonb;
begin
    select array_agg(p.id), (array_agg(jsonb_build_object('at', p.created_at, 'id', p.id)
                                       order by p.created_at desc, p.id))[1]
    into v_page, v_next
    from (select p.id, p.created_at from flowbuilder.plans p
          where p.workspace_id = p_workspace and p.created_at < p_before and p.created_at >= v_at
            and (p.created_at > v_at or p.id < v_id)
          order by p.created_at, p.id desc limit v_limit) p;
    v_page := array(
        select p.id from flowbuilder.plans p
        where p.id = any (v_page) and p.updated_at < p_before
          and not (select coalesce(bool_or(not p_dry or (r.finished_at < p_before) is not true), false)
                   from flowbuilder.runs r where r.id = p.run_id)
          and not (select coalesce(bool_or(not p_dry or (r.finished_at < p_before) is not true), false)
                   from flowbuilder.runs r where r.plan_id = p.id));
    if not p_dry and v_page <> '{}' then
        v_page := array(select p.id from flowbuilder.plans p
                        where p.id = any (v_page) and p.updated_at < p_before
                        order by p.id for update skip locked);
        delete from flowbuilder.events e where e.stream = any (v_page);
        delete from flowbuilder.plans p where p.id = any (v_page);
    end if;
    return jsonb_build_object('plans', cardinality(v_page), 'next', v_next);
end
$$;
