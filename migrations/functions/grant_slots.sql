-- Of the given queued tasks, first those that come first: up to `p_room` that may start, each with a
-- place in every slot that it needs (tasks without limits need none). One for which a slot has no
-- room is blocked by it: it waits in the table until wake_slots sends it again. What needs a slot, or
-- a run, that others have locked is left where it is. The place that a blocked task leaves free in a
-- slot of more tasks than its own kind is told of, because others may wait for that place alone; those
-- who wait in the narrower slot all need the wider one too.
create or replace function flowbuilder.grant_slots(
    p_tasks bigint[], p_runs uuid[], p_room integer, p_now timestamptz,
    out granted bigint[], out blocked bigint[]
)
language plpgsql set search_path = ''
as $$
declare
    v_demands flowbuilder.slot_demand[];
    v_locked  bigint[];
    v_rooms   jsonb;
    v_task    record;
    v_full    bigint[];
    v_slots   bigint[];
begin
    select array_agg(d) into v_demands from flowbuilder.slot_demands(p_tasks) d;
    if v_demands is null then
        select array_agg(c.id order by c.nth) into granted from (
            select g.id, g.nth from unnest(p_tasks) with ordinality g (id, nth)
            join flowbuilder.tasks t on t.id = g.id
            where t.status = 'queued' and t.run_id = any (p_runs) order by g.nth limit p_room) c;
        return;
    end if;
    v_locked := flowbuilder.lock_slots(v_demands, p_now);
    select jsonb_object_agg(s.id, coalesce(flowbuilder.slot_room(s, p_now), 1000000))
    into v_rooms from flowbuilder.limit_slots s where s.id = any (v_locked);
    for v_task in
        select t.id, d.slots from unnest(p_tasks) with ordinality g (id, nth)
        join flowbuilder.tasks t on t.id = g.id
        left join (select d.task_id, array_agg(s.id order by s.id) as slots from unnest(v_demands) d
                   left join flowbuilder.limit_slots s
                     on s.kind = d.kind and s.name = d.name and s.key = d.key and s.id = any (v_locked)
                   group by d.task_id) d on d.task_id = t.id
        where t.status = 'queued' and t.run_id = any (p_runs) order by g.nth
    loop
        continue when array_position(v_task.slots, null) is not null;
        v_full := array(select s from unnest(v_task.slots) s
                        where (v_rooms ->> s::text)::integer <= 0);
        if cardinality(v_full) > 0 then
            blocked := blocked || v_task.id;
            v_slots := v_slots || v_full[1];
        elsif coalesce(cardinality(granted), 0) < p_room then
            granted := granted || v_task.id;
            if v_task.slots is not null then
                select v_rooms || jsonb_object_agg(s, (v_rooms ->> s::text)::integer - 1)
                into v_rooms from unnest(v_task.slots) s;
            end if;
        end if;
    end loop;
    perform flowbuilder.take_slots(granted, v_demands, p_now);
    if blocked is not null then
        perform flowbuilder.block_tasks(blocked, v_slots, p_now);
        insert into flowbuilder.slot_news (slot_id)
        select distinct s.id from unnest(blocked, v_slots) b (task_id, slot)
        join flowbuilder.limit_slots f on f.id = b.slot
        join unnest(v_demands) d on d.task_id = b.task_id
        join flowbuilder.limit_slots s on s.kind = d.kind and s.name = d.name and s.key = d.key
        where s.id = any (v_locked) and s.waiting and s.kind = 'tool'
          and (f.kind = 'step' or length(f.name) > length(s.name))
          and (v_rooms ->> s.id::text)::integer > 0;
    end if;
end
$$;
