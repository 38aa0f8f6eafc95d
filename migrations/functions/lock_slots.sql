-- Make sure that the slots of the given demands are there, and lock those that nobody else has locked.
-- Who makes a slot holds its advisory lock: without it, an insert would wait for another one's end.
create or replace function flowbuilder.lock_slots(
    p_demands flowbuilder.slot_demand[], p_now timestamptz
) returns bigint[]
language plpgsql set search_path = ''
as $$
declare
    v_locked bigint[];
begin
    insert into flowbuilder.limit_slots (kind, name, key, used_at)
    select m.kind, m.name, m.key, p_now
    from (select distinct d.kind, d.name, d.key from unnest(p_demands) d
          where not exists (
              select from flowbuilder.limit_slots s
              where s.kind = d.kind and s.name = d.name and s.key = d.key)
          offset 0) m
    where pg_try_advisory_xact_lock(hashtextextended(concat_ws('/', m.kind, m.name, m.key), 0))
    on conflict do nothing;
    v_locked := array(
        select s.id from flowbuilder.limit_slots s
        join (select distinct d.kind, d.name, d.key from unnest(p_demands) d) d
          on s.kind = d.kind and s.name = d.name and s.key = d.key
        for update of s skip locked);
    update flowbuilder.limit_slots s
    set concurrency = d.concurrency, rate_count = d.rate_count, rate_seconds = d.rate_seconds
    from unnest(p_demands) d
    where s.id = any (v_locked) and s.kind = d.kind and s.name = d.name and s.key = d.key
      and (s.concurrency, s.rate_count, s.rate_seconds)
          is distinct from (d.concurrency, d.rate_count, d.rate_seconds);
    return v_locked;
end
$$;
