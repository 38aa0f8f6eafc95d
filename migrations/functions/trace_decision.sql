-- Keep which span has decided: the attempt that goes on then links to it.
create or replace function flowbuilder.trace_decision() returns trigger
language plpgsql set search_path = ''
as $$
begin
    new.trace := nullif(current_setting('flowbuilder.trace', true), '');
    return new;
end
$$;
