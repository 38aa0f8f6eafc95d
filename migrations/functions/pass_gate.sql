-- Take new runs through the gate of their workspace: refused when a quota is used up, else they wait
-- with all their steps pending, and those that may start do so at once.
create or replace function flowbuilder.pass_gate(
    p_workspace uuid, p_version uuid, p_runs uuid[], p_gated boolean
) returns void
language plpgsql set search_path = ''
as $$
begin
    perform flowbuilder.check_stored(p_workspace);
    perform flowbuilder.use_quota(p_workspace, 'runs_per_day', cardinality(p_runs));
    if not p_gated then
        return;
    end if;
    insert into flowbuilder.run_steps (run_id, position, step_id, node_id, status, remaining_deps)
    select r.id, v.position, v.step_id, v.id, 'pending', cardinality(v.depends_on)
    from unnest(p_runs) with ordinality as r (id, place)
    cross join flowbuilder.version_steps v
    where v.version_id = p_version and v.position >= 0
    order by r.place, v.position;
    perform flowbuilder.keep_back(p_runs);
    perform flowbuilder.admit_runs(p_workspace, cardinality(p_runs) + 10);
end
$$;
