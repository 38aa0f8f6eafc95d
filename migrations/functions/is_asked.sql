-- Whether the people asked (empty: anyone who may decide) include whom `asked_as` describes.
create or replace function flowbuilder.is_asked(p_asked text[], p_names text[], p_free text)
returns boolean
language sql immutable parallel safe set search_path = ''
as $$
    select p_names is not null and (p_asked = '{}' or p_asked && p_names
        or p_free is not null and exists (
            select from unnest(p_asked) a where a like 'role:%'
              and (p_free = 'all' or a <> all (array[
                  'role:member', 'role:builder', 'role:approver', 'role:admin']))))
$$;
