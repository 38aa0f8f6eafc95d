-- Send blocked tasks again, those that stand first, as many as their slots have room for: of slots in
-- which a place was given back, or whose rate lets the next one start. Slots and runs that others
-- have locked are left for the next call. Returns the runs of what was sent.
create or replace function flowbuilder.wake_slots(p_now timestamptz, p_limit integer) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_slot  flowbuilder.limit_slots;
    v_room  integer;
    v_woken bigint[];
    v_runs  uuid[];
    v_all   uuid[] := '{}';
begin
    if not exists (select from flowbuilder.slot_news) and not exists (
        select from flowbuilder.limit_slots s where s.waiting and s.wake_at <= p_now) then
        return v_all;
    end if;
    for v_slot in
        select s.* from flowbuilder.limit_slots s
        where s.id in (select n.slot_id from flowbuilder.slot_news n
                       union select w.id from flowbuilder.limit_slots w
                       where w.waiting and w.wake_at <= p_now)
        order by s.id limit p_limit for update of s skip locked
    loop
        delete from flowbuilder.slot_news n where n.slot_id = v_slot.id;
        continue when not v_slot.waiting;
        v_room := coalesce(flowbuilder.slot_room(v_slot, p_now), 1000);
        select array_agg(c.id), array_agg(c.run_id) into v_woken, v_runs
        from (
            select t.id, t.run_id from flowbuilder.tasks t
            join flowbuilder.runs r on r.id = t.run_id
            where t.blocked_by = v_slot.id and t.status = 'queued'
              and flowbuilder.is_offered(t.tool, t.owner_id) and r.status in ('queued', 'running')
            order by t.blocked_place limit greatest(v_room, 0) for update of r skip locked) c;
        if v_woken is not null then
            perform flowbuilder.send_tasks(v_woken);
            v_all := v_all || v_runs;
        end if;
        update flowbuilder.limit_slots s
        set wake_at = flowbuilder.slot_opens_at(s, p_now), waiting = exists (
            select from flowbuilder.tasks t where t.blocked_by = s.id and t.status = 'queued')
        where s.id = v_slot.id;
        if v_room > coalesce(cardinality(v_woken), 0) then
            insert into flowbuilder.slot_news (slot_id)
            select v_slot.id where exists (
                select from flowbuilder.tasks t join flowbuilder.runs r on r.id = t.run_id
                where t.blocked_by = v_slot.id and t.status = 'queued'
                  and flowbuilder.is_offered(t.tool, t.owner_id)
                  and r.status in ('queued', 'running'));
        end if;
    end loop;
    return v_all;
end
$$;
