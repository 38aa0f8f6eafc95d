-- Take notices that are due, with all that is needed to send them. What is not heard of again within the
-- lease is tried anew, later each time. Of what nobody has to decide any more nothing is told. `linked`:
-- it is a person's mail address, and that person has said so.
create or replace function flowbuilder.claim_notices(p_limit integer, p_lease double precision)
returns table (notice_id bigint, workspace_id uuid, approval_id uuid, channel text, level integer,
               attempts integer, kind text, user_name text, address text, webhook text,
               linked boolean)
language plpgsql set search_path = ''
as $$
declare
    v_due bigint[];
begin
    v_due := array(
        select n.id from flowbuilder.approval_notices n
        where n.status = 'waiting' and n.next_at <= flowbuilder.now()
        order by n.next_at limit p_limit for update skip locked);
    if v_due = '{}' then
        return;
    end if;
    update flowbuilder.approval_notices n
    set status = 'dropped', error = 'nobody has to be told any more'
    where n.id = any (v_due) and not exists (
        select from flowbuilder.approvals a
        join flowbuilder.approval_channels c
          on c.workspace_id = a.workspace_id and c.name = n.channel
        where a.id = n.approval_id and a.status = 'pending' and a.deadline_at > flowbuilder.now());
    return query
        update flowbuilder.approval_notices n
        set attempts = n.attempts + 1,
            next_at = flowbuilder.now()
                + make_interval(secs => p_lease * power(2, least(n.attempts, 6)))
        from flowbuilder.approval_channels c
        where n.id = any (v_due) and n.status = 'waiting'
          and c.workspace_id = n.workspace_id and c.name = n.channel
        returning n.id, n.workspace_id, n.approval_id, n.channel, n.level, n.attempts, c.kind,
            c.user_name, c.address, c.webhook,
            c.user_name is not null and c.address is not null and c.confirmed_at is not null;
end
$$;
