-- pending → running for the ready steps of (locked) runs: their tasks are made and queued. Returns
-- the steps that ended in the same moment, because a map had no elements.
create or replace function flowbuilder.start_steps(p_ready flowbuilder.place[])
returns flowbuilder.place[]
language plpgsql set search_path = ''
as $$
declare
    v_single flowbuilder.place[];
    v_mapped flowbuilder.place[];
    v_place  flowbuilder.place;
    v_ended  flowbuilder.place[] := '{}';
begin
    with opened as (
        update flowbuilder.run_steps s
        set status = 'running', started_at = flowbuilder.now(), task_count = 1, remaining_tasks = 1
        from unnest(p_ready) p, flowbuilder.runs r
        where s.run_id = p.run_id and s.position = p.position and s.status = 'pending'
          and r.id = p.run_id and r.finished_at is null
        returning s.run_id, s.position, r.version_id
    ),
    known as (
        select o.run_id, o.position, v.for_each is not null and not v.has_when as mapped
        from opened o
        join flowbuilder.version_steps v
          on v.version_id = o.version_id and v.position = o.position
    )
    select array_agg((k.run_id, k.position)::flowbuilder.place order by k.run_id, k.position)
               filter (where not k.mapped),
           array_agg((k.run_id, k.position)::flowbuilder.place order by k.run_id, k.position)
               filter (where k.mapped)
    into v_single, v_mapped from known k;
    if v_single is not null then
        perform flowbuilder.queue_steps(v_single);
    end if;
    foreach v_place in array coalesce(v_mapped, '{}') loop
        if flowbuilder.start_map(v_place) then
            v_ended := v_ended || v_place;
        end if;
    end loop;
    return v_ended;
end
$$;
