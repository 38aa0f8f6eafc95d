-- Note that somebody refuses, who agrees no more then. True: these are enough to end it.
create or replace function flowbuilder.record_refusal(
    p_approval uuid, p_by text, p_comment text, p_voter jsonb
) returns boolean
language sql set search_path = ''
as $$
    update flowbuilder.approvals a
    set refusals = (
            select json_agg(v.vote) from (
                select v.vote from json_array_elements(flowbuilder.votes_without(
                    a.refusals, array[p_by, p_voter ->> 'on_behalf'])) v (vote)
                union all
                select json_strip_nulls(json_build_object('by', p_by, 'at', flowbuilder.now(),
                    'comment', p_comment, 'channel', p_voter ->> 'channel',
                    'on_behalf', p_voter ->> 'on_behalf'))) v),
        votes = flowbuilder.votes_without(a.votes, array[p_by, p_voter ->> 'on_behalf'])
    where a.id = p_approval
    returning json_array_length(a.refusals) >= a.rejections
$$;
