-- When the present hour or day of a quota has begun, by UTC.
create or replace function flowbuilder.quota_window(p_quota text, p_now timestamptz)
returns timestamptz
language sql immutable set search_path = ''
as $$
    select date_trunc(case p_quota when 'runs_per_day' then 'day' else 'hour' end, p_now, 'UTC')
$$;
