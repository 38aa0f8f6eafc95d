-- What a worker needs to run a task that was made a moment ago, if it is all at hand: its step refers to
-- nothing, or to the output of the one step (`p_known`) that has just given `p_output`. Else it is read.
create or replace function flowbuilder.first_payload(
    t flowbuilder.tasks, r flowbuilder.runs, v flowbuilder.version_steps,
    p_known flowbuilder.tasks default null, p_output json default null
) returns json
language plpgsql stable set search_path = ''
as $$
begin
    if v.refs not in ('{}', array[p_known.position]) or r.plan_id is not null
       or flowbuilder.is_guarded() then
        return flowbuilder.lease_payload(array[t.id]);
    end if;
    return json_build_array(flowbuilder.task_payload(t, r, v.needs_input, case when v.refs <> '{}'
        then json_build_object(p_known.step_id, p_output) end, null, null, null));
end
$$;
