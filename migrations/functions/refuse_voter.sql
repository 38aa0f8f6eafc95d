-- Refuse somebody who may not decide, and say why.
create or replace function flowbuilder.refuse_voter(
    p_it flowbuilder.approvals, p_by text, p_why text
) returns void
language plpgsql set search_path = ''
as $$
begin
    perform flowbuilder.refuse('invalid', case p_why when 'own_affair' then 'separate_duties'
                                            else 'approver_not_allowed' end,
        case p_why
            when 'own_affair' then format('%s has started this or made its flow: somebody else decides',
                                          p_by)
            when 'not_allowed' then format('%s may not decide approvals here', p_by)
            else format('%s is not asked; the decision lies with %s', p_by,
                        array_to_string(p_it.approvers, ', ')) end);
end
$$;
