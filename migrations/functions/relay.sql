-- Handle one row of the outbox in this transaction of its own. Null when there is none; else what
-- was touched.
create or replace function flowbuilder.relay() returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_row     flowbuilder.outbox;
    v_task    flowbuilder.tasks;
    v_touched uuid[];
begin
    with next as materialized (
        select id from flowbuilder.outbox order by id limit 1 for update skip locked
    )
    delete from flowbuilder.outbox o using next n
    where o.id = n.id returning o.* into v_row;
    if not found then
        return null;
    end if;
    v_touched := flowbuilder.lock_runs(array[v_row.run_id]);
    if v_row.kind = 'cancel_child' then
        perform flowbuilder.end_run(
            v_row.run_id, 'cancelled', null, null, null, v_row.payload ->> 'reason');
        return jsonb_build_object('touched', to_jsonb(v_touched));
    end if;
    select * into v_task from flowbuilder.tasks where id = v_row.task_id and status = 'waiting';
    if found and v_row.kind = 'start_child' then
        v_touched := v_touched || flowbuilder.start_child(v_task, v_row.payload);
    elsif found and v_row.payload ->> 'status' = 'completed' then
        perform flowbuilder.finish_tasks(array[(v_task.id, 'completed', v_row.payload -> 'output',
            null, null)::flowbuilder.task_result]);
    elsif found then
        perform flowbuilder.finish_tasks(array[(v_task.id, 'failed', null, jsonb_build_object(
            'code', 'child_' || (v_row.payload ->> 'status'),
            'message', format('the child run %s: %s', v_row.payload ->> 'status',
                coalesce(v_row.payload #>> '{error,message}', 'no reason given')),
            'child_run_id', v_row.payload -> 'child_run_id',
            'error', v_row.payload -> 'error'), null)::flowbuilder.task_result]);
    end if;
    return jsonb_build_object('touched', to_jsonb(v_touched));
end
$$;
