-- Count what a workspace may do so often in an hour or a day; refused when there is no more, with the
-- seconds until there is. Counted in the transaction that does it, so what comes to nothing is free.
create or replace function flowbuilder.use_quota(p_workspace uuid, p_quota text, p_count integer)
returns void
language plpgsql set search_path = ''
as $$
declare
    v_now   timestamptz := flowbuilder.now();
    v_since timestamptz := flowbuilder.quota_window(p_quota, v_now);
    v_most  integer;
    v_used  bigint;
begin
    select case p_quota when 'runs_per_day' then g.runs_per_day else g.plans_per_hour end
    into v_most from flowbuilder.gates g where g.workspace_id = p_workspace;
    if v_most is null then
        return;
    end if;
    insert into flowbuilder.quota_counts as c (workspace_id, quota, since, used)
    values (p_workspace, p_quota, v_since, p_count)
    on conflict (workspace_id, quota) do update
    set since = v_since, used = p_count + case when c.since = v_since then c.used else 0 end
    returning c.used into v_used;
    if v_used > v_most then
        perform flowbuilder.refuse('conflict', 'quota_' || p_quota, format(
            'the workspace may have %s %s and has used %s', v_most,
            replace(p_quota, '_', ' '), v_used - p_count), jsonb_build_object(
            'quota', p_quota, 'limit', v_most, 'used', v_used - p_count,
            'retry_after', ceil(extract(epoch from v_since + case p_quota
                when 'runs_per_day' then interval '1 day' else interval '1 hour' end - v_now))));
    end if;
end
$$;
