-- Start the run of a delivery whose signature was right, once for each of the sender's ids: one that
-- comes again while its id is kept gets the run of the first. Deliveries of one webhook wait for each
-- other at its row. `p_version`: of which version. Answers {status: started, duplicate, limited or gone}
-- with `run_id`, or `seconds` until there is room again.
create or replace function flowbuilder.receive_webhook(
    p_webhook uuid, p_message text, p_version uuid, p_input json, p_deadline_seconds double precision,
    p_terms jsonb, p_keep_seconds double precision
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    v_now   timestamptz;
    v_hook  flowbuilder.webhooks;
    v_run   uuid;
    v_level double precision;
begin
    select * into v_hook from flowbuilder.webhooks where id = p_webhook for no key update;
    v_now := flowbuilder.now();  -- after the wait
    if v_hook.id is null or v_hook.paused_at is not null then
        return jsonb_build_object('status', 'gone');
    end if;
    select d.run_id into v_run from flowbuilder.webhook_deliveries d
    where d.webhook_id = p_webhook and d.message_id = p_message and d.expires_at > v_now;
    if found then
        return jsonb_build_object('status', 'duplicate', 'run_id', v_run);
    end if;
    v_level := greatest(0, v_hook.level - v_hook.rate_count / v_hook.rate_seconds
        * greatest(0, extract(epoch from v_now - v_hook.level_at)));
    if v_level + 1 > v_hook.rate_count then
        return jsonb_build_object('status', 'limited', 'seconds',
            (v_level + 1 - v_hook.rate_count) * v_hook.rate_seconds / v_hook.rate_count);
    end if;
    perform flowbuilder.require_startable(v_hook.workspace_id, v_hook.flow);
    v_run := flowbuilder.start_runs(v_hook.workspace_id, p_version, array[p_input], null,
        p_deadline_seconds, null, 'webhook:' || v_hook.name, p_terms => p_terms) #>> '{runs,0,0}';
    insert into flowbuilder.run_triggers (run_id, workspace_id, kind, trigger_id, name, detail, authors)
    values (v_run, v_hook.workspace_id, 'webhook', v_hook.id, v_hook.name, p_message,
            v_hook.authors);
    insert into flowbuilder.run_marks (run_id, mark) select v_run, 'input' where not v_hook.trusted;
    insert into flowbuilder.webhook_deliveries as d
        (webhook_id, message_id, workspace_id, run_id, expires_at)
    values (p_webhook, p_message, v_hook.workspace_id, v_run,
        v_now + make_interval(secs => p_keep_seconds))
    on conflict (webhook_id, message_id) do update
        set run_id = excluded.run_id, expires_at = excluded.expires_at;
    delete from flowbuilder.webhook_deliveries d
    where d.ctid = any (array(select o.ctid from flowbuilder.webhook_deliveries o
                              where o.expires_at <= v_now order by o.expires_at limit 10
                              for update skip locked));
    update flowbuilder.webhooks
    set level = v_level + 1, level_at = v_now, last_at = v_now, last_result = 'started',
        last_error = null, last_run_id = v_run, deliveries = deliveries + 1
    where id = p_webhook;
    return jsonb_build_object('status', 'started', 'run_id', v_run);
end
$$;
