-- Keep what was wrong with a delivery. One whose signature was right (`p_signed`) is kept each time;
-- the others once a minute, because whoever knows the address can send them. What is new is noted.
create or replace function flowbuilder.webhook_failed(
    p_webhook uuid, p_signed boolean, p_code text, p_message text, p_address text
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_now    timestamptz := flowbuilder.now();
    v_before text;
    v_hook   flowbuilder.webhooks;
begin
    select case when p_signed then w.last_error ->> 'code' end into v_before
    from flowbuilder.webhooks w where w.id = p_webhook;
    if p_signed then
        update flowbuilder.webhooks
        set last_at = v_now, last_result = 'failed',
            last_error = jsonb_build_object('code', p_code, 'message', p_message)
        where id = p_webhook returning * into v_hook;
    else
        update flowbuilder.webhooks
        set refused_at = v_now, refused_code = p_code
        where id = p_webhook and coalesce(refused_at < v_now - interval '1 minute', true)
        returning * into v_hook;
    end if;
    if v_hook.id is not null and v_before is distinct from p_code then
        perform flowbuilder.note_audit(
            jsonb_build_object('actor', 'webhook:' || v_hook.name, 'channel', 'webhook',
                'address', p_address),
            v_hook.workspace_id, 'webhook.refused', v_hook.id::text,
            jsonb_build_object('code', p_code));
    end if;
end
$$;
