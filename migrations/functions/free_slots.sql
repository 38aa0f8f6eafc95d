-- Give back the places of those of the given tasks that do not run any more under their fence, and say
-- that there may be room.
create or replace function flowbuilder.free_slots(p_tasks bigint[]) returns void
language plpgsql set search_path = ''
as $$
begin
    if p_tasks is null or not exists (select from flowbuilder.slot_uses) then
        return;
    end if;
    with gone as (
        delete from flowbuilder.slot_uses u using flowbuilder.tasks t
        where u.task_id = any (p_tasks) and t.id = u.task_id
          and (t.status <> 'running' or t.fence <> u.fence)
        returning u.slot_id
    )
    insert into flowbuilder.slot_news (slot_id) select distinct g.slot_id from gone g;
end
$$;
