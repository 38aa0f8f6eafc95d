-- The draft of a flow with the steps that were added to it since it was last written as a whole.
create or replace function flowbuilder.whole_draft(p_flow flowbuilder.flows) returns json
language plpgsql stable set search_path = ''
as $$
declare
    v_added json[] := array(
        select s.step from flowbuilder.draft_steps s
        where s.workspace_id = p_flow.workspace_id and s.slug = p_flow.slug order by s.place);
    v_steps json;
begin
    if cardinality(v_added) = 0 then
        return p_flow.draft;
    end if;
    select json_agg(s.step order by s.place) into v_steps
    from unnest(array(select json_array_elements(p_flow.draft -> 'steps')) || v_added)
        with ordinality as s (step, place);
    return (
        select json_object_agg(d.key, d.value order by d.place)
        from (
            select e.key, case when e.key = 'steps' then v_steps else e.value end as value, e.place
            from json_each(p_flow.draft) with ordinality as e (key, value, place)
            union all
            select 'steps', v_steps, null where p_flow.draft -> 'steps' is null) d);
end
$$;
