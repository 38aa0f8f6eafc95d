-- How many further elements of a map come into the queue when `p_ended` have just ended, of `p_done` by
-- now: one for one where the step bounds them. Where only the window does, 25 at a time, when the
-- twenty-fifth has ended: one for one would cost as much as it takes to complete an element, and very
-- many at once would keep those waiting that end at that moment.
create or replace function flowbuilder.elements_due(
    p_concurrency integer, p_done integer, p_ended integer
) returns integer
language sql immutable
as $$
    select case when p_concurrency < 1000 then p_ended
           else 25 * (p_done / 25 - (p_done - p_ended) / 25) end
$$;
