-- Note that somebody agrees to arguments of a hash. Whoever agreed to others counts no more, and nobody
-- counts twice: not by another channel, nor by or for somebody who has a vote already. True: these are
-- enough now.
create or replace function flowbuilder.record_vote(
    p_approval uuid, p_by text, p_comment text, p_value json, p_hash text, p_voter jsonb default '{}'
) returns boolean
language sql set search_path = ''
as $$
    update flowbuilder.approvals a
    set votes = (
            select json_agg(v.vote) from (
                select v.vote
                from json_array_elements(flowbuilder.votes_without(
                    a.votes, array[p_by, p_voter ->> 'on_behalf'])) v (vote)
                where v.vote ->> 'hash' = p_hash
                union all
                select json_build_object('by', p_by, 'hash', p_hash, 'at', flowbuilder.now(),
                    'comment', p_comment, 'value', p_value, 'channel', p_voter ->> 'channel',
                    'on_behalf', p_voter ->> 'on_behalf')) v),
        refusals = flowbuilder.votes_without(a.refusals, array[p_by, p_voter ->> 'on_behalf']),
        agreed_hash = p_hash
    where a.id = p_approval
    returning json_array_length(a.votes) >= a.quorum
$$;
