-- The row of a run that has not ended, locked; refused otherwise. `p_verb` is what is meant to be done
-- with it, for the message.
create or replace function flowbuilder.open_run(p_workspace uuid, p_run uuid, p_verb text)
returns flowbuilder.runs
language plpgsql set search_path = ''
as $$
declare
    v_run flowbuilder.runs;
begin
    select * into v_run from flowbuilder.runs
    where id = p_run and workspace_id = p_workspace for update;
    if not found then
        perform flowbuilder.refuse('not_found', 'run_not_found', 'there is no such run');
    elsif v_run.finished_at is not null then
        perform flowbuilder.refuse('transition', 'invalid_transition',
            format('cannot %s a run that is %s', p_verb, v_run.status),
            jsonb_build_object('status', v_run.status));
    elsif v_run.failure is not null then
        perform flowbuilder.refuse('transition', 'invalid_transition',
            format('cannot %s a run that has failed and is being undone', p_verb),
            jsonb_build_object('status', v_run.status));
    end if;
    return v_run;
end
$$;
