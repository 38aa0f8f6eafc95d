-- Count a log-in in a bucket that holds `p_size` and loses one in `p_seconds`. Returns the seconds until
-- there is room, 0 when it was counted. What is refused is not counted, so that nobody is shut out for
-- ever.
create or replace function flowbuilder.take_attempt(
    p_key text, p_size double precision, p_seconds double precision
) returns double precision
language plpgsql set search_path = ''
as $$
declare
    v_now   timestamptz := flowbuilder.now();
    v_level double precision;
begin
    insert into flowbuilder.login_buckets as b (key, level, at) values (p_key, 0, v_now)
    on conflict (key) do update set key = excluded.key  -- locks it
    returning greatest(0, b.level - greatest(0, extract(epoch from v_now - b.at)) / p_seconds)
    into v_level;
    if v_level + 1 > p_size then
        return (v_level + 1 - p_size) * p_seconds;
    end if;
    update flowbuilder.login_buckets set level = v_level + 1, at = v_now where key = p_key;
    if random() < 0.01 then
        delete from flowbuilder.login_buckets b
        where b.ctid = any (array(select o.ctid from flowbuilder.login_buckets o
                                  where o.at < v_now - interval '1 day' limit 1000
                                  for update skip locked));
    end if;
    return 0;
end
$$;
