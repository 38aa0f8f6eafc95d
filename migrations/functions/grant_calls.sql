-- Take the calls that move the engine, and those about users, from everybody but their owner. All other
-- functions do no more than whoever calls them may do to tables.
create or replace function flowbuilder.grant_calls() returns void
language plpgsql set search_path = ''
as $$
declare
    v_call regprocedure;
begin
    for v_call in
        select p.oid from pg_catalog.pg_proc p
        where p.pronamespace = 'flowbuilder'::regnamespace
          and p.proname = any (array['exchange', 'upkeep', 'relay', 'deliver', 'register_worker',
              'retire_worker', 'complete_transaction', 'record_progress', 'declare_limits',
              'set_limit', 'clear_limit', 'subscribe', 'unsubscribe', 'prune_runs', 'prune_plans',
              'prune_versions', 'prune_events', 'prune_workers', 'prune_deliveries',
              'open_workspace_log', 'number_events', 'trim_workspace_logs',
              'grant_access', 'make_app_role', 'grant_calls', 'create_user', 'change_user',
              'refresh_password_hash', 'user_list', 'invite_user', 'accept_invitation',
              'login_facts', 'take_attempt', 'open_session', 'rotate_refresh', 'end_session',
              'caller_of_session', 'caller_of_key', 'create_workspace', 'workspace_list',
              'archive_workspace', 'set_member', 'member_list', 'create_key', 'key_list', 'revoke_key',
              'operations', 'observe_ends', 'prune_sessions', 'prune_audit', 'fold_tallies',
              'due_schedules', 'fire_schedule', 'claim_notices', 'close_notice', 'make_link',
              'escalate_approvals', 'approval_figures'])
    loop
        execute format('revoke execute on function %s from public', v_call);
    end loop;
end
$$;
