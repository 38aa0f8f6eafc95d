-- Write down what somebody says of an approval. So many times as anybody reads: 500 times each.
create or replace function flowbuilder.comment_approval(
    p_workspace uuid, p_approval uuid, p_by text, p_text text, p_voter jsonb
) returns setof flowbuilder.approval_acts
language plpgsql set search_path = ''
as $$
declare
    v_it flowbuilder.approvals;
    v_id bigint;
begin
    select * into v_it from flowbuilder.approvals a
    where a.id = p_approval and a.workspace_id = p_workspace;
    if not found then
        perform flowbuilder.refuse('not_found', 'approval_not_found', 'there is no such approval');
    elsif (select count(*) from (
            select from flowbuilder.approval_acts c
            where c.approval_id = p_approval and c.act = 'comment' limit 500) n) = 500 then
        perform flowbuilder.refuse('conflict', 'too_many_comments',
            'there are 500 comments on this approval already');
    end if;
    v_id := flowbuilder.note_act(v_it, 'comment', p_by, p_voter, p_text);
    return query select * from flowbuilder.approval_acts c where c.id = v_id;
end
$$;
