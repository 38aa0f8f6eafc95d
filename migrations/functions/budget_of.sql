-- The budget that a run belongs to, with what its family has used of it; all null for a run without
-- one. Time is that of the runs which are nobody's child, those that are open included.
create or replace function flowbuilder.budget_of(p_run uuid) returns flowbuilder.budget_use
language plpgsql stable set search_path = ''
as $$
declare
    v_use flowbuilder.budget_use;
begin
    select o.root_id, o.max_tokens, o.max_usd, o.max_seconds, o.max_steps, o.max_replans,
        f.tokens, f.unpriced_tokens, f.usd, f.steps, f.replans, f.seconds
    into v_use
    from flowbuilder.run_budgets o
    cross join lateral (
        select sum(m.tokens)::bigint as tokens, sum(m.unpriced_tokens)::bigint as unpriced_tokens,
            sum(m.usd) as usd, sum(m.steps)::bigint as steps, sum(m.replans)::bigint as replans,
            coalesce(sum(extract(epoch from coalesce(r.finished_at, flowbuilder.now())
                                 - r.created_at)) filter (where r.parent_run_id is null), 0)
                ::double precision as seconds
        from flowbuilder.run_budgets m
        left join lateral (
            select r.* from flowbuilder.runs r where r.id = m.run_id limit 1) r on true
        where m.root_id = o.root_id) f
    where o.run_id = p_run;
    return v_use;
end
$$;
