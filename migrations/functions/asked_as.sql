-- As what somebody may be asked: names and roles, and which further roles they answer for: `all` where
-- nobody logs in (p_known is false), `unknown` ones for administrators. Null names: they decide nothing.
create or replace function flowbuilder.asked_as(
    p_workspace uuid, p_by text, p_known boolean, out names text[], out free text
)
language plpgsql stable set search_path = ''
as $$
declare
    v_bare  text := regexp_replace(p_by, '^user:', '');
    v_roles text[];
begin
    names := array[v_bare, 'user:' || v_bare];
    if not p_known then
        free := 'all';
        if flowbuilder.plain_name(p_by) = 'mcp' then  -- a program that asks is no person who agrees
            names := null;
        end if;
        return;
    end if;
    v_roles := flowbuilder.roles_held(p_workspace, v_bare);
    if not 'approver' = any (v_roles) then
        names := null;
        return;
    end if;
    names := names || array(select 'role:' || r from unnest(v_roles) r);
    free := case when 'admin' = any (v_roles) then 'unknown' end;
end
$$;
