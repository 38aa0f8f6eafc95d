-- The runs of a start, the new ones among them, with those put in their place that used idempotency
-- keys have started before. A key that was used for something else is refused.
create or replace function flowbuilder.runs_of_keys(
    p_version flowbuilder.flow_versions, p_runs uuid[], p_inputs json[], p_keys text[],
    p_exact boolean
) returns uuid[]
language plpgsql set search_path = ''
as $$
declare
    v_run   record;
    v_found uuid[] := '{}';
begin
    for v_run in
        select g.id, g.input, r.id as used, coalesce(r.grown_from, r.version_id)
            as version_id, r.version, r.flow, r.input as first_input
        from unnest(p_runs, p_inputs, p_keys) with ordinality as g (id, input, key, place)
        left join flowbuilder.runs r
          on r.workspace_id = p_version.workspace_id and r.idempotency_key = g.key
        order by g.place
    loop
        if v_run.used is not null and v_run.used <> v_run.id
           and (v_run.version_id <> p_version.id and (
                    p_exact or v_run.version is null or p_version.version is null
                    or v_run.flow <> p_version.slug)
                or v_run.first_input::jsonb <> v_run.input::jsonb) then
            perform flowbuilder.refuse('conflict', 'idempotency_mismatch',
                'this idempotency key was used for another flow or input',
                jsonb_build_object('run_id', v_run.used));
        end if;
        v_found := v_found || coalesce(v_run.used, v_run.id);
    end loop;
    return v_found;
end
$$;
