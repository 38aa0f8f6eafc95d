-- What is left of the budget that a run belongs to, for the worker: {tokens, usd}, null where there is
-- no bound; null for a run without a budget.
create or replace function flowbuilder.budget_left(p_run uuid) returns json
language plpgsql stable set search_path = ''
as $$
declare
    v_use flowbuilder.budget_use := flowbuilder.budget_of(p_run);
begin
    if v_use.root_id is null then
        return null;
    end if;
    return json_build_object(
        'tokens', v_use.max_tokens - least(v_use.tokens, v_use.max_tokens),
        'usd', v_use.max_usd - least(v_use.usd, v_use.max_usd));
end
$$;
