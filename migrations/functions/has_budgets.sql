-- Whether any run with a budget is open.
create or replace function flowbuilder.has_budgets() returns boolean
language plpgsql stable set search_path = ''
as $$
begin
    return exists (select from flowbuilder.run_budgets b where b.open);
end
$$;
