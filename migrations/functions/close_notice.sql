-- Note how telling somebody went: null, it was taken; else why not. After `p_most` tries, or when trying
-- again is of no use, it has failed.
create or replace function flowbuilder.close_notice(
    p_notice bigint, p_error text, p_final boolean, p_most integer
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_notice flowbuilder.approval_notices;
    v_it     flowbuilder.approvals;
begin
    update flowbuilder.approval_notices n
    set status = case when p_error is null then 'sent'
                      when p_final or n.attempts >= p_most then 'failed' else 'waiting' end,
        next_at = flowbuilder.now() + make_interval(
            secs => least(3600, 5 * power(2, least(n.attempts, 12)))),
        error = left(p_error, 500), sent_at = case when p_error is null then flowbuilder.now() end
    where n.id = p_notice and n.status = 'waiting' returning * into v_notice;
    if not found or v_notice.status = 'waiting' then
        return;
    end if;
    select * into v_it from flowbuilder.approvals where id = v_notice.approval_id;
    perform flowbuilder.note_act(v_it, 'notice', null, '{}',
        v_notice.channel || case v_notice.status when 'failed' then ': ' || v_notice.error else '' end);
end
$$;
