-- Forget emitted events whose life is over and that were emitted before `p_before`: one page of at
-- most 1,000. With `p_dry` it only counts, all of them. Answers {emitted, more}.
create or replace function flowbuilder.prune_events(
    p_workspace uuid, p_before timestamptz, p_limit integer, p_dry boolean
) returns jsonb
language plpgsql set search_path = '' set enable_seqscan = off
as $$
declare
    v_limit integer := least(greatest(p_limit, 1), 1000);
    v_count bigint;
begin
    if p_dry then
        return (
            select jsonb_build_object('emitted', count(*), 'more', false)
            from flowbuilder.event_slots s
            where s.workspace_id = p_workspace and s.expires_at <= flowbuilder.now()
              and s.emitted_at < p_before);
    end if;
    with over as materialized (
        select s.workspace_id, s.name, s.key from flowbuilder.event_slots s
        where s.workspace_id = p_workspace and s.expires_at <= flowbuilder.now()
          and s.emitted_at < p_before
        order by s.expires_at limit v_limit for update skip locked
    ),
    gone as (
        delete from flowbuilder.event_slots s using over o
        where s.workspace_id = o.workspace_id and s.name = o.name and s.key = o.key
        returning 1
    )
    select count(*) into v_count from gone;
    return jsonb_build_object('emitted', v_count, 'more', v_count = v_limit);
end
$$;
