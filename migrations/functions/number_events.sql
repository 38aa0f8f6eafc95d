-- Number the arrivals of a workspace: at most `p_limit`, in the order of each stream, one session at
-- a time. Answers {last, more}; null without a log.
create or replace function flowbuilder.number_events(p_workspace uuid, p_limit integer) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
    v_log   flowbuilder.workspace_logs;
    v_count bigint;
begin
    if not exists (select from flowbuilder.workspace_arrivals a where a.workspace_id = p_workspace) then
        select * into v_log from flowbuilder.workspace_logs l where l.workspace_id = p_workspace;
        return case when found then jsonb_build_object('last', v_log.last, 'more', false) end;
    end if;
    select * into v_log from flowbuilder.workspace_logs l
    where l.workspace_id = p_workspace for update;
    if not found then
        return null;
    end if;
    with picked as materialized (
        select a.id, a.stream, a.seq from flowbuilder.workspace_arrivals a
        where a.workspace_id = p_workspace order by a.workspace_id, a.id limit p_limit
    ),
    gone as (
        delete from flowbuilder.workspace_arrivals a using picked p
        where a.workspace_id = p_workspace and a.id = p.id
    ),
    numbered as (
        insert into flowbuilder.workspace_events (workspace_id, place, stream, seq)
        select p_workspace, v_log.last + row_number() over (order by p.id), p.stream, p.seq
        from picked p
        returning 1
    )
    select count(*) into v_count from numbered;
    if v_count > 0 then
        update flowbuilder.workspace_logs l set last = l.last + v_count
        where l.workspace_id = p_workspace;
    end if;
    return jsonb_build_object('last', v_log.last + v_count, 'more', v_count = p_limit);
end
$$;
