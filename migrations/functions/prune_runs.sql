-- Delete runs that ended before `p_before`, with everything of theirs: one page of at most 1,000 runs
-- and, but for the last of them, 100,000 tasks and events, from the oldest on. Runs that are open, locked, or parent,
-- child or retry of an open one stay. Answers the counts, and as `next` where the following page
-- begins, null at the end. With `p_dry` it only counts.
create or replace function flowbuilder.prune_runs(
    p_workspace uuid, p_before timestamptz, p_limit integer, p_after jsonb, p_dry boolean
) returns jsonb
language plpgsql
set search_path = '' set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    v_limit  integer := least(greatest(p_limit, 1), 1000);
    v_at     timestamptz := coalesce((p_after ->> 'at')::timestamptz, '-infinity');
    v_id     uuid := coalesce(p_after ->> 'id', '00000000-0000-0000-0000-000000000000')::uuid;
    v_page   uuid[];
    v_gone   uuid[];
    v_next   jsonb;
    v_counts jsonb;
begin
    with page as (
        select r.id, r.created_at, r.last_seq from flowbuilder.runs r
        where r.workspace_id = p_workspace and r.created_at < p_before
          and (r.created_at, r.id) > (v_at, v_id)
        order by r.created_at, r.id limit v_limit
    ),
    weighed as (
        select p.*, sum(p.last_seq + (select coalesce(sum(s.task_count), 0)
                from flowbuilder.run_steps s where s.run_id = p.id)) over (
            order by p.created_at, p.id rows between unbounded preceding and 1 preceding) as before
        from page p
    ),
    taken as (select w.* from weighed w where coalesce(w.before, 0) < 100000)
    select array_agg(t.id), (array_agg(jsonb_build_object('at', t.created_at, 'id', t.id)
                                       order by t.created_at desc, t.id desc))[1]
    into v_page, v_next from taken t;
    if v_page is null then
        return jsonb_build_object('next', null);
    end if;
    if not p_dry then  -- a retry that starts meanwhile waits for this lock, or is seen below
        v_page := array(select r.id from flowbuilder.runs r where r.id = any (v_page)
                        and r.finished_at < p_before order by r.id for update skip locked);
    end if;
    v_gone := array(
        select r.id from flowbuilder.runs r
        where r.id = any (v_page) and r.finished_at < p_before
          and not (select coalesce(bool_or(o.finished_at is null), false) from flowbuilder.runs o
                   where o.id = r.parent_run_id)
          and not (select coalesce(bool_or(o.finished_at is null), false) from flowbuilder.runs o
                   where o.parent_run_id = r.id)
          and not (select coalesce(bool_or(o.finished_at is null), false) from flowbuilder.runs o
                   where o.retry_of = r.id));
    v_counts := flowbuilder.weigh_runs(v_gone) || jsonb_build_object('next', v_next);
    if not p_dry and v_gone <> '{}' then
        perform flowbuilder.drop_runs(v_gone);
    end if;
    return v_counts;
end
$$;
