-- Delete lines of the log that are older than `p_before`, at most `p_limit` of them, oldest first. Only
-- the owner of the tables may; the service's role has no right to. Returns how many, and whether there
-- may be more.
create or replace function flowbuilder.prune_audit(p_before timestamptz, p_limit integer)
returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_gone bigint;
begin
    delete from flowbuilder.audit_log a where a.id = any (array(
        select o.id from flowbuilder.audit_log o where o.at < p_before order by o.at limit p_limit));
    get diagnostics v_gone = row_count;
    return jsonb_build_object('lines', v_gone, 'more', v_gone >= p_limit);
end
$$;
