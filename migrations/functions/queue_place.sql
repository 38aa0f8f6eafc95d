-- Where a task stands in the queue: the visibility time of its message, which claims take in order.
-- A class of priority is worth an hour, so that higher classes go first and nothing waits for ever;
-- what comes behind the first sixteen of its map, or of the steps that became ready together in its
-- run, stands behind other runs, but not behind a lower class. Every place is in the past by ten minutes
-- or more, also that of the last one of a low class. Without settings of its own, so that the planner
-- puts the expression in the place of the call.
create or replace function flowbuilder.queue_place(
    p_at timestamptz, p_priority integer, p_rank bigint
) returns timestamptz
language sql stable
as $$
    select p_at - make_interval(secs => 3600 * (p_priority + 2)
        - case when p_rank < 16 then 0 else least(1200 + 2 * p_rank, 3000) end)
$$;
