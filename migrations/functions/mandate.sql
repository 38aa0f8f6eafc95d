-- Whether somebody may decide an approval at this moment: `refusal` says why not (null: they may), and
-- `on_behalf` for whom they do it, if they are asked only because somebody has delegated to them. Whose
-- own affair it is neither decides nor has a delegate decide.
create or replace function flowbuilder.mandate(
    p_it flowbuilder.approvals, p_by text, p_known boolean, out refusal text, out on_behalf text
)
language plpgsql stable set search_path = ''
as $$
declare
    v_me record;
begin
    v_me := flowbuilder.asked_as(p_it.workspace_id, p_by, p_known);
    if v_me.names is null then
        refusal := 'not_allowed';
    elsif flowbuilder.plain_name(p_by) = any (p_it.excluded) then
        refusal := 'own_affair';
    elsif not flowbuilder.is_asked(p_it.approvers, v_me.names, v_me.free) then
        select d.of_user into on_behalf
        from flowbuilder.approval_delegations d
        cross join lateral flowbuilder.asked_as(d.workspace_id, d.of_user, p_known) o
        where d.workspace_id = p_it.workspace_id and d.to_user = flowbuilder.plain_name(p_by)
          and d.revoked_at is null and d.ends_at > flowbuilder.now()
          and d.of_user <> all (p_it.excluded)
          and flowbuilder.is_asked(p_it.approvers, o.names, case when p_known then o.free end)
        order by d.created_at limit 1;
        if on_behalf is null then
            refusal := 'not_asked';
        end if;
    end if;
end
$$;
