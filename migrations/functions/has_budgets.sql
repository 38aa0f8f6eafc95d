-- Whether any run with a budget is open; the newest are looked at first, before the dead entries of
-- those that have ended.
create or replace function flowbuilder.has_budgets() returns boolean
language plpgsql stable set search_path = ''
as $$
begin
    return exists (
        select from flowbuilder.run_budgets b where b.open order by b.run_id desc limit 1);
end
$$;
