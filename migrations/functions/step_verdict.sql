-- What the trigger rule of a step says when `p_open` of the steps that it depends on have not ended
-- and `p_good` have completed: `starts`, `barred` (it never can) or `waits`. As in release_steps, but
-- for a step that comes when some of them have ended already.
create or replace function flowbuilder.step_verdict(
    p_node flowbuilder.version_steps, p_open integer, p_good integer
) returns text
language sql immutable set search_path = ''
as $$
    select case
        when p_node.depends_on = '{}' then 'starts'
        when p_node.trigger_rule = 'one_success' then
            case when p_good > 0 then 'starts' when p_open > 0 then 'waits' else 'barred' end
        when p_node.trigger_rule = 'all_success'
             and cardinality(p_node.depends_on) - p_open > p_good then 'barred'
        when p_open = 0 then 'starts'
        else 'waits' end
$$;
