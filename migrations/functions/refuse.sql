-- Raise a named refusal: `kind` is one of the five classes that the client library maps to errors,
-- `code` the stable code, `details` what a caller may want to know about it.
create or replace function flowbuilder.refuse(
    p_kind text, p_code text, p_message text, p_details jsonb default '{}'
) returns void
language plpgsql set search_path = ''
as $$
begin
    raise exception using
        errcode = case p_kind when 'not_found' then 'FB001' when 'stale' then 'FB002'
                              when 'transition' then 'FB003' when 'conflict' then 'FB004'
                              else 'FB005' end,
        message = p_message, detail = p_details::text, constraint = p_code;
end
$$;
