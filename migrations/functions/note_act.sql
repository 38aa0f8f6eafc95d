-- Write down what was said or done about an approval, and the same into the log. `p_voter`: {channel,
-- address, on_behalf} as far as they are known. Returns the number of what was written.
create or replace function flowbuilder.note_act(
    p_it flowbuilder.approvals, p_act text, p_by text, p_voter jsonb, p_comment text,
    p_hash text default null, p_value json default null
) returns bigint
language plpgsql set search_path = ''
as $$
declare
    v_id bigint;
begin
    insert into flowbuilder.approval_acts (workspace_id, approval_id, at, act, by, on_behalf, channel,
        comment, hash, value)
    values (p_it.workspace_id, p_it.id, flowbuilder.now(), p_act, p_by, p_voter ->> 'on_behalf',
            coalesce(p_voter ->> 'channel', 'system'), p_comment, p_hash, p_value)
    returning id into v_id;
    perform flowbuilder.note_audit(jsonb_build_object('actor', coalesce(p_by, 'system'),
            'channel', p_voter ->> 'channel', 'address', p_voter ->> 'address'),
        p_it.workspace_id, 'approval.' || p_act, 'approval:' || p_it.id,
        jsonb_strip_nulls(jsonb_build_object('run', p_it.run_id, 'step', p_it.step_id,
            'tool', p_it.tool, 'args_hash', p_it.args_hash, 'agreed_hash', p_hash,
            'on_behalf', p_voter ->> 'on_behalf', 'status', p_it.status)));
    return v_id;
end
$$;
