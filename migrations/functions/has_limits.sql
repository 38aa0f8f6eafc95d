-- Whether any tool or step is limited at all, or was until now.
create or replace function flowbuilder.has_limits() returns boolean
language plpgsql stable set search_path = ''
as $$
begin
    return exists (select from flowbuilder.tool_limits)
        or exists (select from flowbuilder.version_steps v where v.limits is not null)
        or exists (select from flowbuilder.slot_news);
end
$$;
