-- Note that somebody agrees to arguments of a hash. Whoever agreed to others counts no more, and nobody
-- counts twice. True: these are enough now.
create or replace function flowbuilder.record_vote(
    p_approval uuid, p_by text, p_comment text, p_value json, p_hash text
) returns boolean
language sql set search_path = ''
as $$
    update flowbuilder.approvals a
    set votes = (
            select json_agg(v.vote) from (
                select v.vote from json_array_elements(a.votes) v (vote)
                where v.vote ->> 'hash' = p_hash and lower(regexp_replace(
                    v.vote ->> 'by', '^user:', '')) <> lower(regexp_replace(p_by, '^user:', ''))
                union all
                select json_build_object('by', p_by, 'hash', p_hash, 'at', flowbuilder.now(),
                                         'comment', p_comment, 'value', p_value)) v),
        agreed_hash = p_hash
    where a.id = p_approval
    returning json_array_length(a.votes) >= a.quorum
$$;
