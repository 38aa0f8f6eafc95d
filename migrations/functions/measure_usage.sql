-- What a workspace has stored: events, and the bytes of what its users put in or got out (inputs,
-- results, arguments, events, documents, plans), as they lie in the tables. All of it is read for that,
-- so what was measured counts for a hundred times as long as it took; one caller at a time measures.
create or replace function flowbuilder.measure_usage(p_workspace uuid)
returns flowbuilder.usage_measures
language plpgsql set search_path = ''
as $$
declare
    v_now   timestamptz := flowbuilder.now();
    v_begun timestamptz := clock_timestamp();
    v_known flowbuilder.usage_measures;
begin
    select * into v_known from flowbuilder.usage_measures m where m.workspace_id = p_workspace;
    if v_known.measured_at between v_now - make_interval(secs => 100 * v_known.took_seconds) and v_now
       or not pg_try_advisory_xact_lock(hashtext('flowbuilder.usage ' || p_workspace))
          and v_known.workspace_id is not null then
        return v_known;
    end if;
    select p_workspace, v_now, 0, sum(s.bytes)::bigint, sum(s.events)::bigint into v_known
    from (
        select coalesce(sum(pg_column_size(r.input) + coalesce(pg_column_size(r.output), 0)), 0)
                   as bytes, 0 as events
        from flowbuilder.runs r where r.workspace_id = p_workspace
        union all
        select coalesce(sum(pg_column_size(s.output)), 0), 0 from flowbuilder.runs r
        join flowbuilder.run_steps s on s.run_id = r.id
        where r.workspace_id = p_workspace and s.output is not null
        union all
        select coalesce(sum(coalesce(pg_column_size(t.args), 0) + coalesce(pg_column_size(t.item), 0)
            + coalesce(pg_column_size(t.output), 0)), 0), 0 from flowbuilder.runs r
        join flowbuilder.tasks t on t.run_id = r.id where r.workspace_id = p_workspace
        union all
        select coalesce(sum(pg_column_size(e.data)), 0), count(*) from flowbuilder.events e
        where e.workspace_id = p_workspace
        union all
        select coalesce(sum(pg_column_size(v.document)), 0), 0 from flowbuilder.flow_versions v
        where v.workspace_id = p_workspace
        union all
        select coalesce(sum(pg_column_size(p.document)), 0), 0 from flowbuilder.plans p
        where p.workspace_id = p_workspace) s;
    v_known.took_seconds := extract(epoch from clock_timestamp() - v_begun);
    insert into flowbuilder.usage_measures select v_known.*
    on conflict (workspace_id) do update
    set measured_at = excluded.measured_at, took_seconds = excluded.took_seconds,
        stored_bytes = excluded.stored_bytes, events = excluded.events;
    return v_known;
end
$$;
