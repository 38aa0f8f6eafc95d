-- Whether a new run is watched from its start: its deadline is so near that it would be found too late,
-- or its id is from before the beginning (watch_runs.sql), because the clock was put back.
create or replace function flowbuilder.is_watched(p_run uuid, p_left interval) returns boolean
language sql stable set search_path = ''
as $$
    select p_left < interval '10 seconds' or p_run < w.beginning from flowbuilder.watch w
$$;
