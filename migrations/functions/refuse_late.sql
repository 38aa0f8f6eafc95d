-- Refuse a decision about what is decided by now, was cancelled with its run, or is over its deadline,
-- and tell how it ended.
create or replace function flowbuilder.refuse_late(p_it flowbuilder.approvals) returns void
language plpgsql set search_path = ''
as $$
begin
    if p_it.status = 'expired' or p_it.status = 'pending' and p_it.deadline_at <= flowbuilder.now() then
        perform flowbuilder.refuse('conflict', 'approval_expired',
            'this has expired: nobody decided before the deadline',
            jsonb_build_object('status', 'expired', 'decided_by', null,
                               'decided_at', coalesce(p_it.decided_at, p_it.deadline_at)));
    elsif p_it.status <> 'pending' then
        perform flowbuilder.refuse('conflict', 'already_decided',
            format('this was %s already%s', p_it.status, coalesce(' by ' || p_it.decided_by, '')),
            jsonb_build_object('status', p_it.status, 'decided_by', p_it.decided_by,
                               'decided_at', p_it.decided_at));
    end if;
end
$$;
