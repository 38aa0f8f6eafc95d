-- How near a run is to the bounds of its budget: a row when one of them is used up to four fifths.
create or replace function flowbuilder.why_budget(p_run uuid) returns table (details jsonb)
language sql stable set search_path = ''
as $$
    select jsonb_build_object('budget', n.name, 'spent', n.spent, 'limit', n.most)
    from flowbuilder.budget_of(p_run) u
    cross join lateral (
        select b.* from (values
            ('tokens', u.tokens::numeric, u.max_tokens::numeric),
            ('usd', u.usd, u.max_usd),
            ('steps', u.steps::numeric, u.max_steps::numeric),
            ('replans', u.replans::numeric, u.max_replans::numeric),
            ('seconds', round(u.seconds::numeric, 3), u.max_seconds::numeric)
            ) as b (name, spent, most)
        where b.spent >= b.most * 0.8
        order by b.spent / nullif(b.most, 0) desc nulls first, b.name limit 1) n
$$;
