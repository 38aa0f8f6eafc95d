-- Use up the link that somebody decides by, and the others that they have for the same approval. It
-- runs as its owner: requests see no links.
create or replace function flowbuilder.spend_link(p_hash bytea, p_approval uuid, p_by text) returns void
language plpgsql security definer set search_path = ''
as $$
begin
    perform 1 from flowbuilder.approval_links l
    where l.hash = p_hash and l.approval_id = p_approval
      and l.user_name = flowbuilder.plain_name(p_by)
      and l.used_at is null and l.expires_at > flowbuilder.now()
      and coalesce(flowbuilder.this_workspace(), l.workspace_id) = l.workspace_id
    for update;
    if not found then
        perform flowbuilder.refuse('conflict', 'link_used', 'this link was used already');
    end if;
    update flowbuilder.approval_links l set used_at = flowbuilder.now()
    where l.approval_id = p_approval and l.user_name = flowbuilder.plain_name(p_by)
      and l.used_at is null;
end
$$;
