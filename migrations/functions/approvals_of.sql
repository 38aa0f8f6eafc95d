-- What somebody may decide now, oldest first: pending, in time, asked of them or of whom they stand in
-- for, not their own affair, and not voted on by them yet. `p_after`: only those behind this one.
create or replace function flowbuilder.approvals_of(
    p_workspace uuid, p_by text, p_known boolean, p_run uuid, p_limit integer,
    p_after uuid default null
) returns setof flowbuilder.approvals
language plpgsql stable set search_path = ''
as $$
declare
    v_name  text := flowbuilder.plain_name(p_by);
    v_me    record;
    v_among text[];
begin
    v_me := flowbuilder.asked_as(p_workspace, p_by, p_known);
    if v_me.names is null then
        return;
    end if;
    v_among := array(select d.of_user from flowbuilder.approval_delegations d
                     where d.workspace_id = p_workspace and d.to_user = v_name
                       and d.revoked_at is null and d.ends_at > flowbuilder.now());
    return query
        select a.* from flowbuilder.approvals a
        where a.workspace_id = p_workspace and a.status = 'pending'
          and a.deadline_at > flowbuilder.now() and v_name <> all (a.excluded)
          and (p_run is null or a.run_id = p_run)
          and (p_after is null or (a.requested_at, a.id) > (
                select b.requested_at, b.id from flowbuilder.approvals b
                where b.id = p_after and b.workspace_id = p_workspace))
          and (flowbuilder.is_asked(a.approvers, v_me.names, v_me.free)
               or v_among <> '{}'
                  and (select m.refusal is null from flowbuilder.mandate(a, p_by, p_known) m))
          and (json_array_length(a.votes) + json_array_length(a.refusals) = 0 or not exists (
                select from (select v from json_array_elements(a.votes) v union all
                             select v from json_array_elements(a.refusals) v) o
                where flowbuilder.plain_name(o.v ->> 'by') = v_name))
        order by a.requested_at, a.id limit p_limit;
end
$$;
