-- The value as it is, if jsonb could hold it too. json takes the text of a NUL or of half a
-- surrogate pair, and fails only when somebody reads it: so they are refused where they come in.
-- Neither strict nor with settings of its own, so that the planner puts the expression in the place of
-- the call: called, it costs more than writing the row.
create or replace function flowbuilder.checked(p_value json) returns json
language sql immutable
as $$
    select case when p_value::jsonb is not null then p_value end
$$;
