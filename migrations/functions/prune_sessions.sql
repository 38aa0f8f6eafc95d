-- Delete log-ins that are over since before `p_before`, their refresh tokens, invitations that count no
-- more, and buckets of log-ins that have long been empty. At most `p_limit` of each; returns how many
-- sessions, and whether there may be more.
create or replace function flowbuilder.prune_sessions(p_before timestamptz, p_limit integer)
returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_gone bigint;
begin
    delete from flowbuilder.sessions s where s.id = any (array(
        (select o.id from flowbuilder.sessions o where o.ended_at < p_before limit p_limit)
        union
        (select o.id from flowbuilder.sessions o where o.expires_at < p_before limit p_limit)));
    get diagnostics v_gone = row_count;
    delete from flowbuilder.refresh_tokens t where t.hash = any (array(
        select o.hash from flowbuilder.refresh_tokens o where o.expires_at < p_before limit p_limit));
    delete from flowbuilder.invitations i where i.hash = any (array(
        select o.hash from flowbuilder.invitations o where o.expires_at < p_before limit p_limit));
    delete from flowbuilder.login_buckets b where b.key = any (array(
        select o.key from flowbuilder.login_buckets o where o.at < p_before limit p_limit));
    return jsonb_build_object('sessions', v_gone, 'more', v_gone >= p_limit);
end
$$;
