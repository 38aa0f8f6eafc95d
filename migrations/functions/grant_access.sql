-- Give the service's role its rights, after every migration. Tables are judged by their columns, so
-- that a new one is closed until it says whose its rows are: `workspace_id`, `run_id` or `version_id`.
-- Without the right to make roles this does nothing; the service says then what is missing.
create or replace function flowbuilder.grant_access() returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_table  record;
    v_new    text;  -- what may be written, where that is not what may be seen
    v_rights text;
    -- `offset 0`: one look-up by id for each row, never all ids of the workspace for a hash table
    v_within text := 'exists (select from flowbuilder.%s o where o.id = %s '
        'and o.workspace_id = (select flowbuilder.this_workspace()) offset 0)';
begin
    if not flowbuilder.make_app_role() then
        return false;
    end if;
    grant usage on schema flowbuilder, pgmq to flowbuilder_app;
    for v_table in
        select c.oid, c.relname as name, c.oid::regclass as full_name, o.rolname as owner,
               c.relrowsecurity and c.relforcerowsecurity as guarded,
               case when flowbuilder.has_column(c.oid, 'workspace_id')
                        then 'workspace_id = (select flowbuilder.this_workspace())'
                    when flowbuilder.has_column(c.oid, 'run_id')
                        then format(v_within, 'runs', quote_ident(c.relname) || '.run_id')
                    when flowbuilder.has_column(c.oid, 'version_id')
                        then format(v_within, 'flow_versions', quote_ident(c.relname) || '.version_id')
               end as rule
        from pg_catalog.pg_class c join pg_catalog.pg_roles o on o.oid = c.relowner
        where c.relnamespace = 'flowbuilder'::regnamespace and c.relkind in ('r', 'p')
        order by c.relname
    loop
        continue when v_table.name in ('users', 'members', 'sessions', 'refresh_tokens',
            'approval_links', 'approval_notices',
            'invitations', 'api_keys', 'login_buckets', 'observed_runs', 'rate_buckets', 'tallies');
        v_new := null;
        if v_table.name = 'subscribers' then  -- those of nobody get the events of all
            v_table.rule := '(workspace_id is null or ' || v_table.rule || ')';
        elsif v_table.name = 'audit_log' then
            v_new := '(workspace_id is null or ' || v_table.rule || ')';
        elsif v_table.name = 'workspaces' then
            v_table.rule := 'id = (select flowbuilder.this_workspace())';
        end if;
        if v_table.rule is not null and not v_table.guarded then
            execute format('alter table %s enable row level security, force row level security',
                v_table.full_name);
            execute format('create policy engine on %s to %I using (true) with check (true)',
                v_table.full_name, v_table.owner);
            execute format('create policy tenant on %s to flowbuilder_app using (%s) with check (%s)',
                v_table.full_name, v_table.rule, coalesce(v_new, v_table.rule));
        end if;
        v_rights := case
            when v_table.name in ('clock', 'migrations', 'queue_gaps', 'tool_limits', 'watch', 'workers',
                'worker_holds', 'workspaces', 'subscribers', 'schedule_switch') then 'select'
            when v_table.name in ('audit_log', 'approval_acts') then 'select, insert'
            when v_table.name = 'deliveries' then 'insert'
            when v_table.rule is not null or v_table.name in ('limit_slots', 'slot_uses',
                'slot_news', 'suspects') then 'select, insert, update, delete' end;
        continue when v_rights is null;
        execute format('grant %s on %s to flowbuilder_app', v_rights, v_table.full_name);
    end loop;
    grant select, insert, update, delete on pgmq.q_flowbuilder_tasks to flowbuilder_app;
    if to_regclass('pgmq.topic_bindings') is not null then
        grant select on pgmq.topic_bindings to flowbuilder_app;
    end if;
    grant usage on all sequences in schema flowbuilder to flowbuilder_app;
    grant usage on sequence pgmq.q_flowbuilder_tasks_msg_id_seq to flowbuilder_app;
    perform flowbuilder.grant_calls();
    return true;
end
$$;
