-- What a trigger rule says about a step, given how many of its dependencies are open and how many
-- of the ended ones succeeded: 'ready', 'skip', or null for not yet. A failed step ends its run,
-- so a dependency that has ended without success was skipped.
create or replace function flowbuilder.judge(
    p_rule text, p_total integer, p_open integer, p_succeeded integer
) returns text
language sql immutable set search_path = ''
as $$
    select case p_rule
        when 'one_success' then
            case when p_succeeded > 0 then 'ready' when p_open = 0 then 'skip' end
        when 'all_success' then
            case when p_total - p_open > p_succeeded then 'skip' when p_open = 0 then 'ready' end
        else case when p_open = 0 then 'ready' end
    end
$$;
