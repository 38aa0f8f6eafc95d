-- Give tasks that are about to be claimed their places in the (locked) slots of their demands, and
-- count the starts against the rates. A start counts from the end of its part of the time, of which
-- a rate has sixty-four when more than as many starts are allowed: so the list stays short, and no
-- span of that time has more starts than it may.
create or replace function flowbuilder.take_slots(
    p_tasks bigint[], p_demands flowbuilder.slot_demand[], p_now timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
    with taken as (
        insert into flowbuilder.slot_uses (slot_id, task_id, fence)
        select s.id, t.id, t.fence + 1
        from unnest(p_demands) d
        join flowbuilder.tasks t on t.id = d.task_id and t.id = any (p_tasks)
        join flowbuilder.limit_slots s on s.kind = d.kind and s.name = d.name and s.key = d.key
        returning slot_id
    ),
    counted as (
        select t.slot_id, count(*)::integer as n from taken t group by t.slot_id
    )
    update flowbuilder.limit_slots s
    set used_at = p_now, (granted_at, granted) = (
        select coalesce(array_agg(g.at order by g.at), '{}'),
               coalesce(array_agg(g.n order by g.at), '{}')
        from (select a.at, sum(a.n)::integer as n
              from (select o.at, o.n from unnest(s.granted_at, s.granted) o (at, n)
                    where o.at > p_now - make_interval(secs => s.rate_seconds)
                    union all
                    select case when s.rate_count <= 64 then p_now else to_timestamp(
                        ceil(extract(epoch from p_now) * 64 / s.rate_seconds) * s.rate_seconds / 64)
                        end, c.n where s.rate_count is not null) a
              group by a.at) g)
    from counted c where s.id = c.slot_id;
end
$$;
