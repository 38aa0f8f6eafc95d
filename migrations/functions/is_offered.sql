-- Whether a worker that is thought to be alive offers this tool, and is the owner if there is one.
create or replace function flowbuilder.is_offered(p_tool text, p_owner uuid) returns boolean
language sql stable set search_path = ''
as $$
    select exists (
        select from flowbuilder.workers w
        where w.status = 'live' and p_tool = any (w.tools) and (p_owner is null or w.id = p_owner))
$$;
