-- The worker's one round trip: report outcomes, lease more. One transaction, answered as described by
-- executor/records.py. `p_held` (hold.sql) is given now and then, and after a reply was lost. The settings
-- keep plans on the indexes, and in their order: made once, often over empty tables, a bitmap would read
-- the whole queue, and a merge all runs.
create or replace function flowbuilder.exchange(
    p_worker uuid, p_held jsonb, p_outcomes json, p_free integer, p_lease_seconds double precision
) returns json
language plpgsql set search_path = '' set enable_seqscan = off set enable_mergejoin = off
set enable_bitmapscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    v_lease    interval := make_interval(secs => p_lease_seconds);
    v_tools    text[] := flowbuilder.greet_worker(p_worker);
    v_budgets  boolean := flowbuilder.has_budgets();
    v_outcomes flowbuilder.outcome[];
    v_answer   json;
begin
    if json_array_length(p_outcomes) > 0 then
        v_outcomes := array(
            select o from json_populate_recordset(null::flowbuilder.outcome, p_outcomes) o);
    end if;
    if cardinality(v_outcomes) = 1 and p_free > 0 and p_held is null and not v_budgets then
        v_answer := flowbuilder.short_way(p_worker, v_outcomes[1], v_tools, p_free, v_lease);
    end if;
    return coalesce(v_answer, flowbuilder.take_turn(
        p_worker, v_tools, p_held, p_outcomes, v_outcomes, p_free, v_lease, v_budgets));
end
$$;
