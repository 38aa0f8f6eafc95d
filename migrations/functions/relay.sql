-- Handle one row of the outbox in this transaction of its own. Null when there is none; else what
-- was touched.
create or replace function flowbuilder.relay() returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_row     flowbuilder.outbox;
    v_task    flowbuilder.tasks;
    v_child   record;
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
    if v_row.kind = 'await_event' then
        perform flowbuilder.look_for_events(v_row.run_id, v_row.payload);
        return jsonb_build_object('touched', jsonb_build_array(v_row.run_id));
    end if;
    if v_row.kind = 'emit_event' then
        return jsonb_build_object('touched', flowbuilder.emit_held_event(v_row.payload));
    end if;
    if v_row.kind = 'admit_runs' then
        return jsonb_build_object('touched', to_jsonb(flowbuilder.admit_runs(
            (v_row.payload ->> 'workspace_id')::uuid)));
    end if;
    v_touched := flowbuilder.lock_runs(array[v_row.run_id]);
    if v_row.kind = 'over_budget' then
        perform flowbuilder.stop_over_budget(
            flowbuilder.halt_over_budget(array[v_row.run_id]), false);
        return jsonb_build_object('touched', to_jsonb(v_touched));
    end if;
    if v_row.kind = 'cancel_child' then
        if not exists (select from flowbuilder.runs r  -- what it did is being undone: that goes on
                       where r.id = v_row.run_id and r.failure is not null) then
            perform flowbuilder.end_run(
                v_row.run_id, 'cancelled', null, null, null, v_row.payload ->> 'reason');
        end if;
        return jsonb_build_object('touched', to_jsonb(v_touched));
    end if;
    select * into v_task from flowbuilder.tasks where id = v_row.task_id and status = 'waiting';
    if not found then
        return jsonb_build_object('touched', to_jsonb(v_touched));
    end if;
    if v_row.kind = 'start_child' then
        v_touched := v_touched || flowbuilder.start_child(v_task, v_row.payload);
        return jsonb_build_object('touched', to_jsonb(v_touched));
    end if;
    select * into v_child from json_to_record(v_row.payload)
        as c (child_run_id uuid, status text, output json, error jsonb);
    perform flowbuilder.mark_child(v_child.child_run_id, v_task);
    perform flowbuilder.finish_tasks(array[(v_task.id,
        case v_child.status when 'completed' then 'completed' else 'failed' end, v_child.output,
        case when v_child.status <> 'completed' then jsonb_build_object(
            'code', 'child_' || v_child.status,
            'message', format('the child run %s: %s', v_child.status,
                coalesce(v_child.error ->> 'message', 'no reason given')),
            'child_run_id', v_child.child_run_id, 'error', v_child.error) end,
        null)::flowbuilder.task_result]);
    return jsonb_build_object('touched', to_jsonb(v_touched));
end
$$;
