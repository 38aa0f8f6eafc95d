-- How many starts a limit's bucket holds at a time; null without a rate. When the clock was put back
-- nothing has flowed out.
create or replace function flowbuilder.bucket_level(
    p_limit flowbuilder.admission_limits, p_now timestamptz
) returns double precision
language sql immutable set search_path = ''
as $$
    select greatest(0, p_limit.level - greatest(0, extract(epoch from p_now - p_limit.at))
        * p_limit.rate_count / p_limit.rate_seconds)
    where p_limit.rate_count is not null
$$;
