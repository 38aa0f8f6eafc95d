-- Votes that were given neither by nor for any of these people.
create or replace function flowbuilder.votes_without(p_votes json, p_people text[]) returns json
language sql stable set search_path = ''
as $$
    select coalesce(json_agg(v.vote), '[]')
    from json_array_elements(p_votes) v (vote)
    where not array_remove(array[flowbuilder.plain_name(v.vote ->> 'by'),
                                 flowbuilder.plain_name(v.vote ->> 'on_behalf')], null)
          && array(select flowbuilder.plain_name(p) from unnest(p_people) p where p is not null)
$$;
