-- Whether there is any policy, or any run that policy has to know more of: only then is it looked up.
create or replace function flowbuilder.is_guarded() returns boolean
language plpgsql stable set search_path = ''
as $$
begin
    return exists (select from flowbuilder.policies) or exists (select from flowbuilder.run_marks);
end
$$;
