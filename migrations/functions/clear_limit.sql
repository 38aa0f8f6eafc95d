-- Take back what an administrator said of a pattern; what the tool of this name declares counts again.
-- Whether there was anything.
create or replace function flowbuilder.clear_limit(p_pattern text) returns boolean
language plpgsql set search_path = ''
as $$
begin
    delete from flowbuilder.tool_limits where pattern = p_pattern and source = 'administrator';
    if not found then
        return false;
    end if;
    perform flowbuilder.refresh_slot(p_pattern);
    return true;
end
$$;
