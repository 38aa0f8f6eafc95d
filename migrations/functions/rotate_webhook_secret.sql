-- Put a new secret on a webhook; the one before counts for `p_overlap_seconds` more, older ones no longer.
-- `p_actor` knows it from now on. False: somebody else has put one of this version there.
create or replace function flowbuilder.rotate_webhook_secret(
    p_workspace uuid, p_webhook uuid, p_version integer, p_key_id text, p_wrapped bytea, p_sealed bytea,
    p_overlap_seconds double precision, p_actor text default null
) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_now timestamptz := flowbuilder.now();
begin
    perform from flowbuilder.webhooks w
    where w.id = p_webhook and w.workspace_id = p_workspace for no key update;
    if not found or exists (select from flowbuilder.webhook_secrets s
                            where s.webhook_id = p_webhook and s.version >= p_version) then
        return false;
    end if;
    delete from flowbuilder.webhook_secrets s
    where s.webhook_id = p_webhook and (s.version < p_version - 1 or p_overlap_seconds = 0);
    update flowbuilder.webhook_secrets s
    set expires_at = v_now + make_interval(secs => p_overlap_seconds)
    where s.webhook_id = p_webhook;
    insert into flowbuilder.webhook_secrets
        (webhook_id, workspace_id, version, key_id, wrapped, sealed)
    values (p_webhook, p_workspace, p_version, p_key_id, p_wrapped, p_sealed);
    update flowbuilder.webhooks w set updated_by = p_actor
    where w.id = p_webhook and p_actor is not null;
    return true;
end
$$;
