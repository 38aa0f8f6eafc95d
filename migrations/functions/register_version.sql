-- Store a compiled flow as an immutable version. The content (document and pinned tools) of the
-- newest version, or of an earlier unsaved graph, gives that version again. The hash does not see
-- the order of keys, which values of the run may show: so the text decides. Where a draft is published
-- that was read at `p_revision`, it must still be that: a step that came meanwhile is not lost.
create or replace function flowbuilder.register_version(
    p_workspace uuid, p_document json, p_hash text, p_steps json, p_output json,
    p_origin text, p_owner uuid, p_revision uuid default null
) returns setof flowbuilder.flow_versions
language plpgsql set search_path = ''
as $$
declare
    v_slug    text := p_document ->> 'flow';
    v_pins    text[];
    v_version flowbuilder.flow_versions;
    v_number  integer;
begin
    select array_agg(s.tool order by s.position) into v_pins
    from json_to_recordset(p_steps) as s (position integer, tool text);
    if p_origin = 'published' then
        insert into flowbuilder.flows (workspace_id, slug, draft, created_at, updated_at)
        values (p_workspace, v_slug, p_document, flowbuilder.now(), flowbuilder.now())
        on conflict do nothing;
        if (select f.revision <> p_revision from flowbuilder.flows f
            where f.workspace_id = p_workspace and f.slug = v_slug for update) then
            perform flowbuilder.refuse('conflict', 'draft_changed',
                format('the draft of %s was changed meanwhile', v_slug));
        end if;
    end if;
    select v.* into v_version from flowbuilder.flow_versions v
    where v.workspace_id = p_workspace and v.slug = v_slug and v.content_hash = p_hash
      and v.document::text = p_document::text
      and v.pins = v_pins and v.origin = p_origin and v.owner_id is not distinct from p_owner
      and (p_origin <> 'published' or v.version = (
            select f.head from flowbuilder.flows f
            where f.workspace_id = p_workspace and f.slug = v_slug))
    limit 1;
    if found then
        if p_origin <> 'published' and coalesce(v_version.registered_at, '-infinity')
           < flowbuilder.now() - interval '10 minutes' then
            update flowbuilder.flow_versions set registered_at = flowbuilder.now()
            where id = v_version.id;
        end if;
        return next v_version;
        return;
    end if;
    if p_origin = 'published' then
        select coalesce(max(version), 0) + 1 into v_number from flowbuilder.flow_versions
        where workspace_id = p_workspace and slug = v_slug;
        update flowbuilder.flows
        set head = v_number, draft = p_document, revision = gen_random_uuid(),
            updated_at = flowbuilder.now()
        where workspace_id = p_workspace and slug = v_slug;
        delete from flowbuilder.draft_steps where workspace_id = p_workspace and slug = v_slug;
    end if;
    insert into flowbuilder.flow_versions (workspace_id, slug, version, content_hash, pins,
        document, output, origin, owner_id, step_count, created_at, registered_at, outside)
    values (p_workspace, v_slug, v_number, p_hash, v_pins, p_document, p_output, p_origin, p_owner,
        (select count(*) from json_to_recordset(p_steps) as s (position integer)
         where s.position >= 0), flowbuilder.now(),
        case when p_origin <> 'published' then flowbuilder.now() end,
        array(select s.step_id from json_to_recordset(p_steps) as s (step_id text, outside boolean)
              where s.outside))
    returning * into v_version;
    perform flowbuilder.register_steps(v_version.id, p_steps, p_owner);
    return next v_version;
end
$$;
