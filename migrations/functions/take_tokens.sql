-- Take up to `p_count` tokens of a bucket that holds `p_size` and gets `p_per_second`: how many there
-- were, and the seconds until there is one when there was none.
create or replace function flowbuilder.take_tokens(
    p_key text, p_count integer, p_size double precision, p_per_second double precision,
    out granted integer, out wait_seconds double precision
)
language plpgsql set search_path = ''
as $$
declare
    v_now   timestamptz := flowbuilder.now();
    v_level double precision;
begin
    insert into flowbuilder.rate_buckets as b (key, level, at) values (p_key, 0, v_now)
    on conflict (key) do update set key = excluded.key  -- locks it
    returning greatest(0, b.level - greatest(0, extract(epoch from v_now - b.at)) * p_per_second)
    into v_level;
    granted := greatest(0, least(p_count, floor(p_size - v_level + 1e-6)));
    wait_seconds := case when granted > 0 then 0 else (v_level + 1 - p_size) / p_per_second end;
    update flowbuilder.rate_buckets set level = v_level + granted, at = v_now where key = p_key;
    if random() < 0.01 then
        delete from flowbuilder.rate_buckets b
        where b.ctid = any (array(select o.ctid from flowbuilder.rate_buckets o
                                  where o.at < v_now - interval '1 day' limit 1000
                                  for update skip locked));
    end if;
end
$$;
