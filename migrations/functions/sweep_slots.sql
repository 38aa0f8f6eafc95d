-- The upkeep of limits: places whose task does not run any more, whatever has ended it; blocked tasks
-- whose slot has a place that nobody was told of; slots that nobody used for an hour. Then send what
-- may start. Returns the runs touched.
create or replace function flowbuilder.sweep_slots(p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_now timestamptz := flowbuilder.now();
begin
    if not exists (select from flowbuilder.limit_slots) then
        return '{}';
    end if;
    with stale as (
        select u.slot_id, u.task_id, u.fence from flowbuilder.slot_uses u
        where not exists (
            select from flowbuilder.tasks t
            where t.id = u.task_id and t.fence = u.fence and t.status = 'running')
        limit p_limit for update of u skip locked
    ),
    gone as (
        delete from flowbuilder.slot_uses u using stale s
        where u.slot_id = s.slot_id and u.task_id = s.task_id and u.fence = s.fence
        returning u.slot_id
    )
    insert into flowbuilder.slot_news (slot_id)
    select g.slot_id from gone g
    union
    select s.id from flowbuilder.limit_slots s
    where s.waiting and (s.wake_at is null or s.wake_at <= v_now)
      and (select count(*) from flowbuilder.slot_uses u where u.slot_id = s.id)
          < coalesce(s.concurrency, 1000000)
    limit p_limit;
    with idle as (
        select s.id from flowbuilder.limit_slots s
        where not s.waiting and s.used_at < v_now - interval '1 hour'
          and s.used_at < v_now - make_interval(secs => coalesce(s.rate_seconds, 0) * 1.1)
          and not exists (select from flowbuilder.slot_uses u where u.slot_id = s.id)
        order by s.used_at limit p_limit for update of s skip locked
    )
    delete from flowbuilder.limit_slots s using idle i where s.id = i.id;
    delete from flowbuilder.slot_news n
    where not exists (select from flowbuilder.limit_slots s where s.id = n.slot_id);
    return flowbuilder.wake_slots(v_now, p_limit);
end
$$;
