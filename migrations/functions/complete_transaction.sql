-- The end of a transactional tool: its task is completed in the transaction in which its handler has
-- written, so both are committed or neither is. Refused when the attempt is not this worker's any
-- more, and when the handler has ended the transaction that it was given: then the mark, a setting
-- that lives as long as the transaction does, is gone.
create or replace function flowbuilder.complete_transaction(
    p_worker uuid, p_outcome json, p_mark text
) returns void
language plpgsql set search_path = ''
as $$
begin
    if current_setting('flowbuilder.transaction', true) is distinct from p_mark then
        perform flowbuilder.refuse('invalid', 'transaction_ended',
            'a transactional tool must not commit or roll back: its transaction ends with its task');
    end if;
    if json_typeof(flowbuilder.exchange(
        p_worker, null, json_build_array(p_outcome), 0, 0) -> 'denied') = 'array' then
        perform flowbuilder.refuse('stale', 'attempt_lost',
            'the attempt is not this worker''s any more; what it wrote is rolled back');
    end if;
end
$$;
