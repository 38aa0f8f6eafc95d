-- Count what was spent for a run outside its tasks: planning, and re-plans. A run that is over its
-- budget by that is stopped. False: the run has no budget. Refused when the budget has no
-- room for as many re-plans, before they cost anything; then nothing is counted.
create or replace function flowbuilder.spend_budget(
    p_workspace uuid, p_run uuid, p_spent jsonb, p_replans integer
) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_use   flowbuilder.budget_use;
    v_spent record;
begin
    perform from flowbuilder.runs r
    where r.id = p_run and r.workspace_id = p_workspace for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'run_not_found', 'there is no such run');
    end if;
    v_use := flowbuilder.budget_of(p_run);
    if v_use.root_id is null then
        return false;
    end if;
    if v_use.replans + p_replans > v_use.max_replans then
        perform flowbuilder.refuse('conflict', 'budget_exceeded', format(
            'over budget: %s of at most %s re-plans were made', v_use.replans, v_use.max_replans),
            jsonb_build_object('budget', 'replans', 'spent', v_use.replans,
                'limit', v_use.max_replans));
    end if;
    select coalesce(s.tokens, 0) as tokens, coalesce(s.unpriced_tokens, 0) as unpriced_tokens,
        coalesce(s.usd, 0) as usd
    into v_spent
    from jsonb_to_record(p_spent) as s (tokens bigint, unpriced_tokens bigint, usd numeric);
    update flowbuilder.run_budgets b
    set tokens = b.tokens + v_spent.tokens, usd = b.usd + v_spent.usd,
        unpriced_tokens = b.unpriced_tokens + v_spent.unpriced_tokens,
        replans = b.replans + p_replans
    where b.run_id = p_run;
    insert into flowbuilder.spendings (workspace_id, run_id, tokens, usd)
    select p_workspace, p_run, v_spent.tokens,
           case when v_spent.unpriced_tokens = 0 then v_spent.usd end
    where v_spent.tokens > 0 or v_spent.usd > 0;
    perform flowbuilder.stop_over_budget(flowbuilder.halt_over_budget(array[p_run]), true);
    return true;
end
$$;
