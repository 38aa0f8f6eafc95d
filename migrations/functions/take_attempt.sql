-- Count a log-in in its buckets: `p_keys`, each of which holds `p_sizes` and loses one in `p_seconds`.
-- Returns the seconds until there is room in all, 0 when it was counted. Buckets are locked in order,
-- and refused ones are not filled any further, so that nobody is shut out for ever.
create or replace function flowbuilder.take_attempt(
    p_keys text[], p_sizes double precision[], p_seconds double precision[]
) returns double precision
language plpgsql set search_path = ''
as $$
declare
    v_now  timestamptz := flowbuilder.now();
    v_wait double precision;
begin
    insert into flowbuilder.login_buckets (key, level, at)
    select g.key, 0, v_now from unnest(p_keys) g (key) order by g.key
    on conflict (key) do update set key = excluded.key;  -- locks it
    select max(greatest(0, (b.level - extract(epoch from v_now - b.at) / g.seconds + 1 - g.size)
                           * g.seconds))
    into v_wait
    from unnest(p_keys, p_sizes, p_seconds) g (key, size, seconds)
    join flowbuilder.login_buckets b on b.key = g.key;
    if v_wait > 0 then
        return v_wait;
    end if;
    update flowbuilder.login_buckets b
    set level = greatest(0, b.level - extract(epoch from v_now - b.at) / g.seconds) + 1, at = v_now
    from unnest(p_keys, p_seconds) g (key, seconds)
    where b.key = g.key;
    if random() < 0.01 then
        delete from flowbuilder.login_buckets b
        where b.ctid = any (array(select o.ctid from flowbuilder.login_buckets o
                                  where o.at < v_now - interval '1 day' limit 1000
                                  for update skip locked));
    end if;
    return 0;
end
$$;
