-- Budgets of runs that have ended are not open any more: nothing looks at them at every exchange.
create or replace function flowbuilder.close_budgets(p_limit integer) returns void
language plpgsql set search_path = ''
as $$
begin
    update flowbuilder.run_budgets b set open = false
    where b.run_id = any (array(
        select o.run_id from flowbuilder.run_budgets o
        cross join lateral (
            select from flowbuilder.runs r
            where r.id = o.run_id and (r.finished_at is not null) is true limit 1) r
        where o.open limit p_limit for update of o skip locked));
end
$$;
