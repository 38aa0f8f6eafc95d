-- A child or a retry that was just made: it belongs to the budget of its parent, or of the run that it
-- retries, if that has one. A retry has no more time than is left, and is refused when nothing is.
create or replace function flowbuilder.inherit_budget() returns trigger
language plpgsql set search_path = ''
as $$
declare
    v_from   uuid := coalesce(new.parent_run_id, new.retry_of);
    v_use    flowbuilder.budget_use := flowbuilder.budget_of(v_from);
    v_breach jsonb;
begin
    if v_use.root_id is null then
        return null;
    end if;
    if new.retry_of is not null then
        v_breach := flowbuilder.budget_breach(v_use, 1);
        if v_breach is not null then
            perform flowbuilder.refuse('conflict', 'budget_exceeded', format(
                '%s: there is nothing left for a retry', v_breach ->> 'message'), v_breach);
        end if;
        update flowbuilder.runs r set deadline_at = least(r.deadline_at, r.created_at
            + make_interval(secs => v_use.max_seconds - v_use.seconds))
        where r.id = new.id and v_use.max_seconds is not null;
    end if;
    insert into flowbuilder.run_budgets (run_id, root_id, max_tokens, max_usd, max_seconds,
        max_steps, max_replans)
    values (new.id, v_use.root_id, v_use.max_tokens, v_use.max_usd, v_use.max_seconds,
        v_use.max_steps, v_use.max_replans);
    return null;
end
$$;
