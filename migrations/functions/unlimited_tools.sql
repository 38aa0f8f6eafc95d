-- Those of the given tools that no limit is on: their tasks may be leased without asking for a slot.
create or replace function flowbuilder.unlimited_tools(p_tools text[]) returns text[]
language plpgsql stable set search_path = ''
as $$
begin
    if not exists (select from flowbuilder.tool_limits) then
        return p_tools;
    end if;
    return array(select t from unnest(p_tools) t
                 where not exists (select from flowbuilder.limits_of_tool(t)));
end
$$;
