-- Make a workspace, with its first administrator if one is named; `p_quotas`: what it may use.
create or replace function flowbuilder.create_workspace(
    p_slug text, p_admin text, p_by jsonb, p_quotas jsonb default '{}'
) returns uuid
language plpgsql set search_path = ''
as $$
declare
    v_id uuid;
begin
    insert into flowbuilder.workspaces (id, slug, created_at)
    values (gen_random_uuid(), p_slug, flowbuilder.now())
    on conflict (slug) do nothing
    returning id into v_id;
    if not found then
        perform flowbuilder.refuse('conflict', 'workspace_exists',
            format('there is a workspace %s already', p_slug));
    end if;
    perform flowbuilder.note_audit(p_by, v_id, 'workspace.create', 'workspace:' || p_slug,
        case when p_quotas = '{}' then '{}' else jsonb_build_object('quotas', p_quotas) end);
    if p_quotas <> '{}' then
        perform flowbuilder.set_quotas(v_id, (p_quotas ->> 'stored_bytes')::bigint,
            (p_quotas ->> 'events_kept')::bigint, (p_quotas ->> 'runs_per_day')::integer,
            (p_quotas ->> 'plans_per_hour')::integer, 'settings');
    end if;
    if p_admin is not null then
        perform flowbuilder.set_member(v_id, p_admin, array['admin'], p_by);
    end if;
    return v_id;
end
$$;
