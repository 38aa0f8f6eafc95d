-- Make and queue the one task of each given step: its work or, for a mapped step with a condition,
-- the task that evaluates the condition before the elements become tasks.
create or replace function flowbuilder.queue_steps(p_places flowbuilder.place[]) returns void
language sql set search_path = ''
as $$
    with fresh as materialized (
        select nextval('flowbuilder.tasks_id_seq') as id, n.*, flowbuilder.now() as at
        from (select p.run_id, p.position, v.owner_id,
                     case when v.for_each is null then 'step' else 'expand' end as kind,
                     case when v.for_each is null then v.tool end as tool
              from unnest(p_places) with ordinality as p (run_id, position, place)
              join flowbuilder.runs r on r.id = p.run_id
              join flowbuilder.version_steps v
                on v.version_id = r.version_id and v.position = p.position
              order by p.place) n
    ),
    sent as (
        insert into pgmq.q_flowbuilder_tasks (vt, message)
        select at, jsonb_build_object('task', id) from fresh order by id
        returning msg_id, (message ->> 'task')::bigint as task_id
    )
    insert into flowbuilder.tasks
        (id, run_id, position, kind, status, tool, owner_id, available_at, message_id)
    overriding system value
    select f.id, f.run_id, f.position, f.kind, 'queued', f.tool, f.owner_id, f.at, s.msg_id
    from fresh f join sent s on s.task_id = f.id
$$;
