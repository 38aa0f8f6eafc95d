-- Give each of the runs, just made, a budget of its own: {tokens, usd, seconds, steps, replans}, what is
-- missing is not bounded, and `spent` {tokens, unpriced_tokens, usd}, what planning has cost already.
create or replace function flowbuilder.grant_budgets(p_runs uuid[], p_budget jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
    with granted as (
        insert into flowbuilder.run_budgets (run_id, root_id, max_tokens, max_usd, max_seconds,
            max_steps, max_replans, tokens, unpriced_tokens, usd)
        select r.id, r.id, b.tokens, b.usd, b.seconds, b.steps, b.replans,
            coalesce(s.tokens, 0), coalesce(s.unpriced_tokens, 0), coalesce(s.usd, 0)
        from unnest(p_runs) as r (id)
        cross join jsonb_to_record(p_budget) as b (tokens bigint, usd numeric,
            seconds double precision, steps bigint, replans bigint)
        cross join jsonb_to_record(coalesce(p_budget -> 'spent', '{}')) as s (tokens bigint,
            unpriced_tokens bigint, usd numeric)
        returning *
    )
    insert into flowbuilder.spendings (workspace_id, run_id, tokens, usd)
    select r.workspace_id, g.run_id, g.tokens,
           case when g.unpriced_tokens = 0 then g.usd end
    from granted g join flowbuilder.runs r on r.id = g.run_id
    where g.tokens > 0 or g.usd > 0;
end
$$;
