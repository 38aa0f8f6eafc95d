-- What a budget is exceeded by: {code, message, budget, spent, limit}, null when it is not. With
-- `p_more` 1 also when nothing is left of a bound, for somebody who would use more.
create or replace function flowbuilder.budget_breach(
    p_use flowbuilder.budget_use, p_more integer default 0
) returns jsonb
language sql stable set search_path = ''
as $$
    select jsonb_build_object('code', 'budget_exceeded', 'budget', b.name, 'spent', b.spent,
        'limit', b.most, 'message', format(b.words, trim_scale(b.spent), trim_scale(b.most)))
    from (values
        (1, 'tokens', p_use.tokens::numeric, p_use.max_tokens::numeric, 0,
            'over budget: %s of at most %s tokens are spent'),
        (2, 'usd', p_use.usd, p_use.max_usd, 0,
            'over budget: %s of at most %s US dollars are spent'),
        (3, 'steps', p_use.steps::numeric, p_use.max_steps::numeric, p_more,
            'over budget: %s of at most %s steps were started, and more are to come'),
        (4, 'replans', p_use.replans::numeric, p_use.max_replans::numeric, 0,
            'over budget: %s of at most %s re-plans were made'),
        (5, 'seconds', round(p_use.seconds::numeric, 3), p_use.max_seconds::numeric, p_more,
            'over budget: %s of at most %s seconds are over')
        ) as b (place, name, spent, most, more, words)
    where b.spent > b.most or b.spent = b.most and b.more = 1
    order by b.place limit 1
$$;
