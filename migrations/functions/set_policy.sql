-- Say which policy holds in a workspace from now on; null takes back what was said before. Every task
-- that is leased after this has committed is held against it. `p_base`: the id that the caller has
-- seen as the newest, 0 for none; null does not ask.
create or replace function flowbuilder.set_policy(
    p_workspace uuid, p_document json, p_actor text, p_base bigint
) returns setof flowbuilder.policies
language plpgsql set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('flowbuilder policy ' || p_workspace, 0));
    if p_base is not null and p_base is distinct from coalesce(
        (select max(p.id) from flowbuilder.policies p where p.workspace_id = p_workspace), 0) then
        perform flowbuilder.refuse('conflict', 'policy_changed',
            'the policy was changed meanwhile: look at it again');
    end if;
    return query insert into flowbuilder.policies (workspace_id, document, set_at, set_by)
        values (p_workspace, flowbuilder.checked(p_document), flowbuilder.now(), p_actor)
        returning *;
end
$$;
