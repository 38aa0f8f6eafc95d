-- Refuse the start of `p_made` runs, a moment ago in this transaction, if by them the workspace has
-- more open runs than it may. Counting costs as much as there are open runs, so under a bound above a
-- thousand it is done now and then, the sooner the more start at once: some more may begin then. And
-- it is only done if there can be as many, by what was counted last and what has started since then:
-- runs that have ended cost as much as open ones while they cannot be cleared away from the index.
create or replace function flowbuilder.bound_open_runs(
    p_workspace uuid, p_made integer, p_bound integer
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now  timestamptz := flowbuilder.now();
    v_open integer;
begin
    if p_bound > 1000 and p_made <= p_bound then
        if random() * p_bound > 1000.0 * p_made or exists (
            select from flowbuilder.open_counts c
            cross join lateral (
                select count(*) as n from (
                    select from flowbuilder.runs r
                    where r.workspace_id = p_workspace and r.created_at >= c.counted_at
                    limit 2000) b) s
            where c.workspace_id = p_workspace and c.counted_at <= v_now
              and s.n < 2000 and c.open + s.n <= p_bound) then
            return;
        end if;
    end if;
    select count(*) into v_open from flowbuilder.open_run_ids(
        p_workspace, p_bound + 1, true);
    if v_open > p_bound then
        perform flowbuilder.refuse('conflict', 'too_many_runs', format(
            'the workspace may have %s open runs and would have more', p_bound),
            jsonb_build_object('limit', p_bound));
    end if;
    if p_bound > 1000
       and pg_try_advisory_xact_lock(hashtext('flowbuilder.open_counts ' || p_workspace)) then
        insert into flowbuilder.open_counts as c (workspace_id, counted_at, open)
        values (p_workspace, v_now, v_open)
        on conflict (workspace_id) do update set counted_at = v_now, open = v_open;
    end if;
end
$$;
