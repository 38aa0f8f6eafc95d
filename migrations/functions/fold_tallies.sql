-- Put the rows of each tally together into one.
create or replace function flowbuilder.fold_tallies() returns void
language sql set search_path = ''
as $$
    with gone as (delete from flowbuilder.tallies returning name, amount)
    insert into flowbuilder.tallies (name, amount)
    select g.name, sum(g.amount)::bigint from gone g group by g.name
$$;
